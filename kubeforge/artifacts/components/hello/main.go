// The page that proves a cluster: says which pod answered, on which node, and what it was asked. Used behind a
// Service and an ingress; every answer names the pod, so that a reader sees requests being spread.
package main

import (
	"fmt"
	"log"
	"net/http"
	"os"
	"time"
)

var version = "unknown" // set by -ldflags -X main.version

func page(writer http.ResponseWriter, request *http.Request) {
	host, _ := os.Hostname()
	writer.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintln(writer, "Hello from a pod of kubeforge")
	fmt.Fprintln(writer, "pod:", host)
	if node := os.Getenv("NODE_NAME"); node != "" {
		fmt.Fprintln(writer, "node:", node)
	}
	fmt.Fprintln(writer, "asked:", request.Method, request.Host+request.URL.RequestURI())
	fmt.Fprintln(writer, "from:", request.RemoteAddr)
	if via := request.Header.Get("X-Forwarded-For"); via != "" {
		fmt.Fprintln(writer, "forwarded for:", via, "by", request.Header.Get("X-Forwarded-Proto"))
	}
}

func main() {
	if len(os.Args) == 2 && os.Args[1] == "-v" {
		fmt.Println("hello", version)
		return
	}
	address := os.Getenv("LISTEN")
	if address == "" {
		address = ":8080"
	}
	handler := http.NewServeMux()
	handler.HandleFunc("/healthz", func(writer http.ResponseWriter, _ *http.Request) { fmt.Fprintln(writer, "ok") })
	handler.HandleFunc("/", page)
	server := &http.Server{Addr: address, Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	log.Printf("hello %s listens on %s", version, address)
	log.Fatal(server.ListenAndServe())
}
