module hybridk8s.estate/lab/web

go 1.26.0
