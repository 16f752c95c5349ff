package main

import (
	"fmt"
	"io/fs"
	"math"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"sync"
	"syscall"
	"time"
)

const (
	keyBytes     = 8
	valueBytes   = 100
	recordBytes  = keyBytes + valueBytes
	threads      = 16
	batchOfBytes = 179 // of a one-record batch of Kafka's format: how many records a log of so many bytes has
)

type works struct {
	peer        peer
	directory   string
	sizes       map[string]int64
	prepared    store
	preparedFor string
}

func (w *works) names() []string {
	names := []string{"durable.one_thread", "durable.16_threads", "scan.one_record_batches", "open.one_record_batches"}
	if !w.peer.alwaysSyncs {
		names = append(names, "append.one_by_one", "append.tail", "append.batches_of_100", "append.batches_of_1_MiB",
			"space.one_record_batches")
	}
	if w.peer.finds {
		names = append(names, "lookup.offset.equal_records")
	}
	return names
}

// run does one round of a work.
func (w *works) run(work string) []*float64 {
	if work != w.preparedFor {
		w.forget()
	}
	switch work {
	case "append.one_by_one":
		return w.appendOneByOne()
	case "append.tail":
		return w.appendTail()
	case "append.batches_of_100":
		return w.appendBatches(100)
	case "append.batches_of_1_MiB":
		return w.appendBatches((1 << 20) / recordBytes)
	case "durable.one_thread":
		return w.durableOneThread()
	case "durable.16_threads":
		return w.durableThreads()
	case "lookup.offset.equal_records":
		return w.lookup(work)
	case "scan.one_record_batches":
		return w.scan(work)
	case "open.one_record_batches":
		return w.openUnclean(work)
	case "space.one_record_batches":
		return w.space()
	}
	fail(fmt.Errorf("there is no work %s", work))
	return nil
}

func (w *works) forget() {
	if w.prepared != nil {
		must(w.prepared.close())
	}
	w.prepared, w.preparedFor = nil, ""
	must(os.RemoveAll(w.directory + "/prepared"))
	must(os.RemoveAll(w.directory + "/round"))
}

func (w *works) size(name string) int64 {
	size, found := w.sizes[name]
	if !found {
		fail(fmt.Errorf("no size %s", name))
	}
	return size
}

func (w *works) logRecords() int64 { return max(w.size("log_bytes")/batchOfBytes, 1) }

func (w *works) openFresh(durable bool) store {
	directory := w.directory + "/round"
	must(os.RemoveAll(directory))
	must(os.MkdirAll(directory, 0o755))
	syscall.Sync()
	return w.peer.open(directory, durable)
}

func values(numbers ...float64) []*float64 {
	pointers := make([]*float64, len(numbers))
	for index := range numbers {
		if !math.IsNaN(numbers[index]) {
			pointers[index] = &numbers[index]
		}
	}
	return pointers
}

func at(sorted []float64, share float64) float64 {
	return sorted[max(int(math.Ceil(share*float64(len(sorted)))), 1)-1]
}

func nsSince(begin time.Time) float64 { return float64(time.Since(begin).Nanoseconds()) }

func (w *works) checkHolds(s store, count int64) {
	if !w.peer.finds {
		return
	}
	for _, number := range []int64{0, count / 2, count - 1} {
		s.read(number)
	}
}

func (w *works) appendOneByOne() []*float64 {
	records := w.size("append_records")
	s := w.openFresh(false)
	begin := time.Now()
	for number := int64(0); number < records; number++ {
		s.append(number, 1)
	}
	ns := nsSince(begin) / float64(records)
	w.checkHolds(s, records)
	must(s.close())
	return values(ns)
}

func (w *works) appendTail() []*float64 {
	records := w.size("append_records")
	s := w.openFresh(false)
	took := make([]float64, 0, records)
	before := time.Now()
	for number := int64(0); number < records; number++ {
		s.append(number, 1)
		now := time.Now()
		took = append(took, float64(now.Sub(before).Nanoseconds()))
		before = now
	}
	must(s.close())
	sort.Float64s(took)
	return values(at(took, 0.5), at(took, 0.99), at(took, 0.999), at(took, 1))
}

// GB/s of keys and values.
func (w *works) appendBatches(batchRecords int64) []*float64 {
	batches := max(w.size("append_bytes")/(batchRecords*recordBytes), 1)
	s := w.openFresh(false)
	begin := time.Now()
	for batch := int64(0); batch < batches; batch++ {
		s.append(batch*batchRecords, batchRecords)
	}
	rate := float64(batches*batchRecords*recordBytes) / nsSince(begin)
	w.checkHolds(s, batches*batchRecords)
	must(s.close())
	return values(rate)
}

func (w *works) durableOneThread() []*float64 {
	appends := w.size("durable_appends")
	s := w.openFresh(true)
	took := make([]float64, 0, appends)
	for number := int64(0); number < appends; number++ {
		begin := time.Now()
		s.append(number, 1)
		took = append(took, nsSince(begin)/1e3)
	}
	w.checkHolds(s, appends)
	must(s.close())
	sort.Float64s(took)
	return values(at(took, 0.5), at(took, 0.99))
}

// These logs want their entries numbered without a gap: threads take turns.
func (w *works) durableThreads() []*float64 {
	each := max(w.size("shared_appends")/threads/8, 1) // an eighth, as nobody shares a sync
	s := w.openFresh(true)
	var turn sync.Mutex
	var all sync.WaitGroup
	next := int64(0)
	begin := time.Now()
	for thread := 0; thread < threads; thread++ {
		all.Add(1)
		go func() {
			defer all.Done()
			for count := int64(0); count < each; count++ {
				turn.Lock()
				s.append(next, 1)
				next++
				turn.Unlock()
			}
		}()
	}
	all.Wait()
	rate := float64(each*threads) * 1e9 / nsSince(begin)
	w.checkHolds(s, each*threads)
	must(s.close())
	return values(rate)
}

func (w *works) prepare(work string) store {
	if w.prepared == nil {
		const batch = 1000
		directory := w.directory + "/prepared"
		must(os.MkdirAll(directory, 0o755))
		w.prepared = w.peer.open(directory, false)
		for number := int64(0); number < w.logRecords(); number += batch {
			w.prepared.append(number, min(batch, w.logRecords()-number))
		}
		w.preparedFor = work
	}
	return w.prepared
}

func (w *works) lookup(work string) []*float64 {
	s := w.prepare(work)
	lookups := w.size("lookups")
	begin := time.Now()
	for count := int64(0); count < lookups; count++ {
		s.read(rand.Int63n(w.logRecords()))
	}
	return values(nsSince(begin) / float64(lookups))
}

func (w *works) scan(work string) []*float64 {
	s := w.prepare(work)
	begin := time.Now()
	if count := s.scan(); count != w.logRecords() {
		fail(fmt.Errorf("%d records expected, found %d", w.logRecords(), count))
	}
	return values(float64(w.logRecords()*recordBytes) / nsSince(begin))
}

// A copy of the files while they are open is what an unclean stop leaves.
func (w *works) openUnclean(work string) []*float64 {
	w.prepare(work).sync()
	copied := w.directory + "/round"
	must(os.RemoveAll(copied))
	must(exec.Command("cp", "--recursive", "--sparse=always", "--", w.directory+"/prepared", copied).Run())
	syscall.Sync()
	begin := time.Now()
	s := w.peer.open(copied, false)
	ms := nsSince(begin) / 1e6
	w.checkHolds(s, w.logRecords())
	must(s.close())
	return values(ms, math.NaN(), math.NaN())
}

func (w *works) space() []*float64 {
	records := w.size("codec_bytes") / recordBytes
	s := w.openFresh(false)
	for number := int64(0); number < records; number++ {
		s.append(number, 1)
	}
	must(s.close())
	bytes := int64(0)
	must(filepath.WalkDir(w.directory+"/round", func(_ string, entry fs.DirEntry, err error) error {
		must(err)
		if info, err := entry.Info(); err == nil && !entry.IsDir() {
			bytes += info.Sys().(*syscall.Stat_t).Blocks * 512
		}
		return nil
	}))
	return values(float64(bytes)/float64(records)-recordBytes, math.NaN())
}
