module hybridk8s.estate/lab/ack-agent

go 1.26.0
