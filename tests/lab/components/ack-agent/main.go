// Copyright (c) 2026 hybridk8s.estate authors
// GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// ack-agent stands in for the agent of ACK, whose image cannot be had: it is given what that one is given (environment,
// files below /ack-credentials), holds a connection to the simulated cloud in that one's own words (tests/fakecloud/agent.py),
// and is ready (:10254/healthz) while it does. Unlike the published agent it verifies the server.
package main

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"
)

const (
	credentials = "/ack-credentials"
	heartbeat   = 3 * time.Second
)

func main() {
	var connected atomic.Bool
	http.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) {
		if !connected.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	go func() { log.Fatal(http.ListenAndServe(":10254", nil)) }()
	for {
		log.Print(hold(&connected))
		connected.Store(false)
		time.Sleep(time.Second)
	}
}

// hold connects and stays connected; it returns why that ended.
func hold(connected *atomic.Bool) error {
	address, cluster := os.Getenv("ALI_STUB_REGISTER_ADDR"), os.Getenv("KUBERNETES_CLUSTER_ID")
	token, err := os.ReadFile(filepath.Join(credentials, "token"))
	if err != nil {
		return err
	}
	authority, err := os.ReadFile(filepath.Join(credentials, "ca"))
	if err != nil {
		return err
	}
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM(authority)
	dialer := &net.Dialer{Timeout: 10 * time.Second}
	connection, err := tls.DialWithDialer(dialer, "tcp", address, &tls.Config{RootCAs: trusted, MinVersion: tls.VersionTLS12})
	if err != nil {
		return err
	}
	defer connection.Close()
	greeting, err := json.Marshal(map[string]string{"cluster": cluster, "token": strings.TrimSpace(string(token))})
	if err != nil {
		return err
	}
	answers := bufio.NewReader(connection)
	for line := string(greeting); ; line = "heartbeat" {
		if _, err := fmt.Fprintln(connection, line); err != nil {
			return err
		}
		answer, err := answers.ReadString('\n')
		if err != nil {
			return err
		}
		if answer = strings.TrimSpace(answer); answer != "ok" && answer != "ack" {
			return fmt.Errorf("%s says %q to an agent of %s", address, answer, cluster)
		}
		connected.Store(true)
		time.Sleep(heartbeat)
	}
}
