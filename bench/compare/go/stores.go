package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/hashicorp/raft"
	raftwal "github.com/hashicorp/raft-wal"
	tidwall "github.com/tidwall/wal"
	etcdwal "go.etcd.io/etcd/server/v3/storage/wal"
	"go.etcd.io/etcd/server/v3/storage/wal/walpb"
	"go.etcd.io/raft/v3/raftpb"
	"go.uber.org/zap"
)

// A store is a log to be measured. Records come in order; each failure ends the program.
type store interface {
	append(first, count int64)
	read(number int64)
	scan() int64
	sync()
	close() error
}

type peer struct {
	name              string
	module            string
	processDurability string // how it survives the death of the process, in its own words
	powerDurability   string
	finds             bool // by number
	alwaysSyncs       bool
	open              func(directory string, durable bool) store
}

var peers = map[string]peer{
	"etcd": {name: "etcd's WAL", module: "go.etcd.io/etcd/server/v3", processDurability: "Save, without fsync",
		powerDurability: "Save, with fsync", open: openEtcd},
	"raft-wal": {name: "hashicorp raft-wal", module: "github.com/hashicorp/raft-wal", processDurability: "always synced",
		powerDurability: "StoreLogs", finds: true, alwaysSyncs: true, open: openRaftWal},
	"tidwall": {name: "tidwall/wal", module: "github.com/tidwall/wal", processDurability: "NoSync",
		powerDurability: "each write synced", finds: true, open: openTidwall},
}

// recordOf is the key and the value of a record, one behind the other.
func recordOf(number int64) []byte {
	record := bytes.Repeat([]byte{'v'}, recordBytes)
	binary.BigEndian.PutUint64(record, uint64(number))
	binary.LittleEndian.PutUint64(record[keyBytes:], uint64(number))
	return record
}

func check(number int64, record []byte) {
	if !bytes.Equal(record, recordOf(number)) {
		fail(fmt.Errorf("another record than %d", number))
	}
}

// --- etcd: a Save writes all entries and, as raft asks of it, syncs. The log is read from its beginning only ---

type etcdStore struct {
	wal       *etcdwal.WAL
	directory string
	durable   bool
}

func openEtcd(directory string, durable bool) store {
	directory += "/wal"
	snapshot := &walpb.Snapshot{}
	if !etcdwal.Exist(directory) {
		created, err := etcdwal.Create(zap.NewNop(), directory, nil)
		must(err)
		if !durable {
			created.SetUnsafeNoFsync()
		}
		return &etcdStore{created, directory, durable}
	}
	opened, err := etcdwal.Open(zap.NewNop(), directory, snapshot)
	must(err)
	_, _, entries, err := opened.ReadAll()
	must(err)
	for number, entry := range entries {
		check(int64(number), entry.Data)
	}
	return &etcdStore{opened, directory, durable}
}

func (s *etcdStore) append(first, count int64) {
	entries := make([]*raftpb.Entry, count)
	term := uint64(1)
	for index := range entries {
		number := first + int64(index)
		place := uint64(number) + 1
		entries[index] = &raftpb.Entry{Term: &term, Index: &place, Data: recordOf(number)}
	}
	// The state changes with each commit, so that raft asks for it to be stable.
	last := uint64(first + count)
	vote := uint64(1)
	must(s.wal.Save(&raftpb.HardState{Term: &term, Vote: &vote, Commit: &last}, entries))
}

func (s *etcdStore) read(int64) { fail(errors.New("etcd's WAL finds nothing by its number")) }

func (s *etcdStore) scan() int64 {
	s.sync()
	reader, err := etcdwal.OpenForRead(zap.NewNop(), s.directory, &walpb.Snapshot{})
	must(err)
	defer reader.Close()
	_, _, entries, err := reader.ReadAll()
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		fail(err)
	}
	for number, entry := range entries {
		check(int64(number), entry.Data)
	}
	return int64(len(entries))
}

func (s *etcdStore) sync()        { must(s.wal.Sync()) }
func (s *etcdStore) close() error { return s.wal.Close() }

// --- hashicorp raft-wal: a StoreLogs writes all and syncs ---

type raftWalStore struct{ wal *raftwal.WAL }

func openRaftWal(directory string, _ bool) store {
	wal, err := raftwal.Open(directory)
	must(err)
	return &raftWalStore{wal}
}

func (s *raftWalStore) append(first, count int64) {
	logs := make([]*raft.Log, count)
	for index := range logs {
		number := first + int64(index)
		logs[index] = &raft.Log{Index: uint64(number) + 1, Term: 1, Data: recordOf(number)}
	}
	must(s.wal.StoreLogs(logs))
}

func (s *raftWalStore) read(number int64) {
	var log raft.Log
	must(s.wal.GetLog(uint64(number)+1, &log))
	check(number, log.Data)
}

func (s *raftWalStore) scan() int64 {
	last, err := s.wal.LastIndex()
	must(err)
	for number := int64(0); number < int64(last); number++ {
		s.read(number)
	}
	return int64(last)
}

func (s *raftWalStore) sync()        {}
func (s *raftWalStore) close() error { return s.wal.Close() }

// --- tidwall/wal ---

type tidwallStore struct{ wal *tidwall.Log }

func openTidwall(directory string, durable bool) store {
	options := *tidwall.DefaultOptions
	options.NoSync = !durable
	wal, err := tidwall.Open(directory, &options)
	must(err)
	return &tidwallStore{wal}
}

func (s *tidwallStore) append(first, count int64) {
	if count == 1 {
		must(s.wal.Write(uint64(first)+1, recordOf(first)))
		return
	}
	var batch tidwall.Batch
	for number := first; number < first+count; number++ {
		batch.Write(uint64(number)+1, recordOf(number))
	}
	must(s.wal.WriteBatch(&batch))
}

func (s *tidwallStore) read(number int64) {
	record, err := s.wal.Read(uint64(number) + 1)
	must(err)
	check(number, record)
}

func (s *tidwallStore) scan() int64 {
	last, err := s.wal.LastIndex()
	must(err)
	for number := int64(0); number < int64(last); number++ {
		s.read(number)
	}
	return int64(last)
}

func (s *tidwallStore) sync()        { must(s.wal.Sync()) }
func (s *tidwallStore) close() error { return s.wal.Close() }
