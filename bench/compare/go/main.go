// Command peers measures write-ahead logs written in Go, as bench/support/served_program.py tells:
//
//	peers etcd|raft-wal|tidwall DIRECTORY [SIZE=NUMBER...]
//
// It answers a line of JSON for each line that names a work. Records are numbered from 0: a key of 8 bytes, the number,
// and a value of 100 bytes that begins with it. Every failure, and every wrong answer, ends it with status 3.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
)

type answer struct {
	Work  string  `json:"work"`
	Round []round `json:"round"`
}

type round struct {
	Subject string     `json:"subject"`
	Values  []*float64 `json:"values"`
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(3)
}

func must(err error) {
	if err != nil {
		fail(err)
	}
}

// versionOf is the version of a module that this program was built with.
func versionOf(module string) string {
	info, _ := debug.ReadBuildInfo()
	for _, dependency := range info.Deps {
		if dependency.Path == module {
			return dependency.Version
		}
	}
	return "unknown"
}

func sizesOf(arguments []string) map[string]int64 {
	sizes := map[string]int64{}
	for _, argument := range arguments {
		name, value, _ := strings.Cut(argument, "=")
		number, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			fail(fmt.Errorf("NAME=NUMBER expected, found %s", argument))
		}
		sizes[name] = number
	}
	return sizes
}

func main() {
	if len(os.Args) < 3 || peers[os.Args[1]].open == nil {
		fail(fmt.Errorf("etcd, raft-wal or tidwall expected, then a directory, then sizes: NAME=NUMBER"))
	}
	peer := peers[os.Args[1]]
	works := &works{peer: peer, directory: os.Args[2], sizes: sizesOf(os.Args[3:])}
	out := json.NewEncoder(os.Stdout)
	must(out.Encode(map[string]any{
		"subject": peer.name, "version": versionOf(peer.module), "works": works.names(),
		"process_durability": peer.processDurability, "power_durability": peer.powerDurability,
	}))
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		values := works.run(lines.Text())
		must(out.Encode(answer{lines.Text(), []round{{peer.name, values}}}))
	}
	works.forget()
}
