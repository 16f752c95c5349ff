//! The works that a peer is measured by, each one round at a time.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use crate::stores::{Peer, Store, RECORD_BYTES};

const THREADS: u64 = 16;
/// Of a one-record batch of Kafka's format: how many records a log of so many bytes has.
const BATCH_OF_ONE_BYTES: u64 = 179;
const BLOCK_BYTES: u64 = 512;

/// One for each figure of a work; none where there is no such value.
pub type Values = Vec<Option<f64>>;

pub struct Works {
    peer: &'static Peer,
    directory: String,
    sizes: HashMap<String, u64>,
    prepared: Option<Box<dyn Store>>,
    prepared_for: String,
    seed: u64,
}

fn at(sorted: &[f64], share: f64) -> Option<f64> {
    let rank = ((share * sorted.len() as f64).ceil() as usize).max(1);
    Some(sorted[rank - 1])
}

fn sync_file_systems() {
    assert!(Command::new("sync").status().expect("sync").success());
}

fn space_of(directory: &Path) -> u64 {
    fs::read_dir(directory)
        .expect("a directory")
        .map(|entry| {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                space_of(&path)
            } else {
                path.metadata().expect("a file").blocks() * BLOCK_BYTES
            }
        })
        .sum()
}

impl Works {
    pub fn new(peer: &'static Peer, directory: &str, sizes: HashMap<String, u64>) -> Works {
        Works {
            peer,
            directory: directory.to_owned(),
            sizes,
            prepared: None,
            prepared_for: String::new(),
            seed: 1,
        }
    }

    pub fn names(&self) -> Vec<&'static str> {
        let mut names = Vec::new();
        if self.peer.unsynced {
            names.extend(["append.one_by_one", "append.tail"]);
            names.extend(["append.batches_of_100", "append.batches_of_1_MiB"]);
            names.push("space.one_record_batches");
        }
        if self.peer.finds {
            names.extend(["lookup.offset.equal_records", "scan.one_record_batches"]);
            names.push("open.one_record_batches");
        }
        if self.peer.syncs {
            names.extend(["durable.one_thread", "durable.16_threads"]);
        }
        names
    }

    /// One round.
    pub fn run(&mut self, work: &str) -> Values {
        if work != self.prepared_for {
            self.forget();
        }
        assert!(self.names().contains(&work), "there is no work {work}");
        match work {
            "append.one_by_one" => self.append_one_by_one(),
            "append.tail" => self.append_tail(),
            "append.batches_of_100" => self.append_batches(100),
            "append.batches_of_1_MiB" => self.append_batches((1 << 20) / RECORD_BYTES),
            "durable.one_thread" => self.durable_one_thread(),
            "durable.16_threads" => self.durable_threads(),
            "lookup.offset.equal_records" => self.lookup(work),
            "scan.one_record_batches" => self.scan(work),
            "open.one_record_batches" => self.open_unclean(work),
            _ => self.space(),
        }
    }

    pub fn forget(&mut self) {
        self.prepared = None;
        self.prepared_for.clear();
        for kept in ["prepared", "round"] {
            let _ = fs::remove_dir_all(format!("{}/{kept}", self.directory));
        }
    }

    fn size(&self, name: &str) -> u64 {
        self.sizes[name]
    }

    fn log_records(&self) -> u64 {
        (self.size("log_bytes") / BATCH_OF_ONE_BYTES).max(1)
    }

    fn open_fresh(&self, durable: bool) -> Box<dyn Store> {
        let directory = format!("{}/round", self.directory);
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(&directory).expect("a directory");
        sync_file_systems();
        (self.peer.open)(&directory, durable)
    }

    fn check_holds(&self, store: &dyn Store, count: u64) {
        if self.peer.finds {
            for number in [0, count / 2, count - 1] {
                store.read(0, number);
            }
        }
    }

    fn append_one_by_one(&self) -> Values {
        let records = self.size("append_records");
        let store = self.open_fresh(false);
        let begin = Instant::now();
        for number in 0..records {
            store.append(0, number, 1);
        }
        let ns = begin.elapsed().as_nanos() as f64 / records as f64;
        self.check_holds(store.as_ref(), records);
        vec![Some(ns)]
    }

    fn append_tail(&self) -> Values {
        let records = self.size("append_records");
        let store = self.open_fresh(false);
        let mut took_ns = Vec::with_capacity(records as usize);
        let mut before = Instant::now();
        for number in 0..records {
            store.append(0, number, 1);
            let now = Instant::now();
            took_ns.push((now - before).as_nanos() as f64);
            before = now;
        }
        took_ns.sort_by(f64::total_cmp);
        [0.5, 0.99, 0.999, 1.0].iter().map(|share| at(&took_ns, *share)).collect()
    }

    /// GB/s of keys and values.
    fn append_batches(&self, batch_records: u64) -> Values {
        let batches = (self.size("append_bytes") / (batch_records * RECORD_BYTES)).max(1);
        let store = self.open_fresh(false);
        let begin = Instant::now();
        for batch in 0..batches {
            store.append(0, batch * batch_records, batch_records);
        }
        let ns = begin.elapsed().as_nanos() as f64;
        self.check_holds(store.as_ref(), batches * batch_records);
        vec![Some((batches * batch_records * RECORD_BYTES) as f64 / ns)]
    }

    fn durable_one_thread(&self) -> Values {
        let appends = self.size("durable_appends");
        let store = self.open_fresh(true);
        let mut took_us = Vec::with_capacity(appends as usize);
        for number in 0..appends {
            let begin = Instant::now();
            store.append(0, number, 1);
            took_us.push(begin.elapsed().as_nanos() as f64 / 1e3);
        }
        self.check_holds(store.as_ref(), appends);
        took_us.sort_by(f64::total_cmp);
        vec![at(&took_us, 0.5), at(&took_us, 0.99)]
    }

    fn durable_threads(&self) -> Values {
        let each = (self.size("shared_appends") / THREADS).max(1);
        let store = self.open_fresh(true);
        let begin = Instant::now();
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let store = &store;
                scope.spawn(move || (0..each).for_each(|number| store.append(thread, number, 1)));
            }
        });
        vec![Some((each * THREADS) as f64 / begin.elapsed().as_secs_f64())]
    }

    fn prepare(&mut self, work: &str) {
        const BATCH: u64 = 1000;
        if self.prepared.is_some() {
            return;
        }
        let directory = format!("{}/prepared", self.directory);
        fs::create_dir_all(&directory).expect("a directory");
        let store = (self.peer.open)(&directory, false);
        let records = self.log_records();
        for number in (0..records).step_by(BATCH as usize) {
            store.append(0, number, BATCH.min(records - number));
        }
        self.prepared = Some(store);
        self.prepared_for = work.to_owned();
    }

    fn lookup(&mut self, work: &str) -> Values {
        self.prepare(work);
        let store = self.prepared.as_ref().expect("a prepared log");
        let (lookups, records) = (self.size("lookups"), self.log_records());
        let mut state = self.seed;
        let begin = Instant::now();
        for _ in 0..lookups {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            store.read(0, ((state >> 32) * records) >> 32);
        }
        let ns = begin.elapsed().as_nanos() as f64 / lookups as f64;
        self.seed += 1;
        vec![Some(ns)]
    }

    fn scan(&mut self, work: &str) -> Values {
        self.prepare(work);
        let store = self.prepared.as_ref().expect("a prepared log");
        let records = self.log_records();
        let begin = Instant::now();
        store.scan(records);
        vec![Some((records * RECORD_BYTES) as f64 / begin.elapsed().as_nanos() as f64)]
    }

    /// A copy of the files while they are open is what an unclean stop leaves.
    fn open_unclean(&mut self, work: &str) -> Values {
        self.prepare(work);
        let copy = format!("{}/round", self.directory);
        let _ = fs::remove_dir_all(&copy);
        let prepared = format!("{}/prepared", self.directory);
        let copied = Command::new("cp").args(["--recursive", "--sparse=always", "--", &prepared, &copy]).status();
        assert!(copied.expect("cp").success());
        sync_file_systems();
        let begin = Instant::now();
        let store = (self.peer.open)(&copy, false);
        let ms = begin.elapsed().as_secs_f64() * 1e3;
        self.check_holds(store.as_ref(), self.log_records());
        vec![Some(ms), None, None]
    }

    fn space(&self) -> Values {
        let records = self.size("codec_bytes") / RECORD_BYTES;
        let store = self.open_fresh(false);
        for number in 0..records {
            store.append(0, number, 1);
        }
        drop(store);
        let bytes = space_of(Path::new(&format!("{}/round", self.directory)));
        vec![Some(bytes as f64 / records as f64 - RECORD_BYTES as f64), None]
    }
}
