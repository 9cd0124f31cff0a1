// Copyright (c) 2026 hybridk8s.estate authors
// GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// web proves that traffic arrives, and where: over HTTP (-http, default :8080) every path answers with the host name, a
// line feed, and the client's address; over TCP (-tcp, default :7000) a connection is greeted with the host name and
// then echoes what it is sent, so that a held connection shows whether a path was cut.
package main

import (
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
)

func main() {
	httpAddress := flag.String("http", ":8080", "address of the HTTP server")
	tcpAddress := flag.String("tcp", ":7000", "address of the TCP echo server")
	flag.Parse()
	hostname, err := os.Hostname()
	if err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", *tcpAddress)
	if err != nil {
		log.Fatal(err)
	}
	go serveEcho(listener, hostname)
	log.Fatal(http.ListenAndServe(*httpAddress, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s\n%s\n", hostname, r.RemoteAddr)
	})))
}

func serveEcho(listener net.Listener, hostname string) {
	for {
		connection, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go func() {
			defer connection.Close()
			fmt.Fprintf(connection, "%s\n", hostname)
			io.Copy(connection, connection)
		}()
	}
}
