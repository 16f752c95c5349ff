//! The peers: how each is opened and what an append, a lookup and a scan are to it.

use std::sync::{Arc, Mutex};

use commitlog::message::{MessageBuf, MessageSet};
use commitlog::{CommitLog, LogOptions, ReadLimit};
use okaywal::{LogVoid, WriteAheadLog};
use protobuf::well_known_types::BytesValue;
use raft_engine::{Config, Engine, LogBatch, MessageExt};

const KEY_BYTES: usize = 8;
const VALUE_BYTES: usize = 100;
pub const RECORD_BYTES: u64 = (KEY_BYTES + VALUE_BYTES) as u64;

/// A log to be measured. Each lane, one for each thread, numbers its records from 0.
pub trait Store: Send + Sync {
    fn append(&self, lane: u64, first: u64, count: u64);
    /// Finds a record by its number.
    fn read(&self, lane: u64, number: u64);
    /// Reads the first `count` records of lane 0.
    fn scan(&self, count: u64);
}

pub struct Peer {
    pub name: &'static str,
    pub version: &'static str,
    pub process_durability: &'static str,
    pub power_durability: &'static str,
    pub unsynced: bool, // can append without a sync
    pub syncs: bool,
    pub finds: bool, // by number
    pub open: fn(directory: &str, durable: bool) -> Box<dyn Store>,
}

// The versions are those of Cargo.toml.
static PEERS: [(&str, Peer); 3] = [
    (
        "commitlog",
        Peer {
            name: "commitlog",
            version: "0.2.0",
            process_durability: "append",
            power_durability: "none: its flush does not sync",
            unsynced: true,
            syncs: false,
            finds: true,
            open: |directory, _| Box::new(CommitLogStore::open(directory)),
        },
    ),
    (
        "raft-engine",
        Peer {
            name: "raft-engine",
            version: "0.4.2",
            process_durability: "write, sync = false",
            power_durability: "write, sync = true",
            unsynced: true,
            syncs: true,
            finds: true,
            open: |directory, durable| Box::new(RaftEngineStore::open(directory, durable)),
        },
    ),
    (
        "okaywal",
        Peer {
            name: "okaywal",
            version: "0.3.1",
            process_durability: "always synced",
            power_durability: "commit",
            unsynced: false,
            syncs: true,
            finds: false,
            open: |directory, _| Box::new(OkayWalStore::open(directory)),
        },
    ),
];

pub fn peer(name: &str) -> Option<&'static Peer> {
    PEERS.iter().find(|(known, _)| *known == name).map(|(_, peer)| peer)
}

/// The key and the value of a record, one behind the other.
fn record(number: u64) -> Vec<u8> {
    let mut bytes = vec![b'v'; RECORD_BYTES as usize];
    bytes[..KEY_BYTES].copy_from_slice(&number.to_be_bytes());
    bytes[KEY_BYTES..2 * KEY_BYTES].copy_from_slice(&number.to_le_bytes());
    bytes
}

fn check(number: u64, bytes: &[u8]) {
    assert!(bytes == record(number), "another record than {number}");
}

// --- commitlog ---

struct CommitLogStore(Mutex<CommitLog>);

impl CommitLogStore {
    fn open(directory: &str) -> CommitLogStore {
        let mut options = LogOptions::new(directory);
        options.message_max_bytes(4 << 20).index_max_items(10_000_000);
        CommitLogStore(Mutex::new(CommitLog::new(options).expect("commitlog")))
    }
}

impl Store for CommitLogStore {
    fn append(&self, _lane: u64, first: u64, count: u64) {
        let mut log = self.0.lock().expect("commitlog");
        if count == 1 {
            log.append_msg(record(first)).expect("append");
            return;
        }
        let mut messages: MessageBuf = (first..first + count).map(record).collect();
        log.append(&mut messages).expect("append");
    }

    fn read(&self, _lane: u64, number: u64) {
        let log = self.0.lock().expect("commitlog");
        let messages = log.read(number, ReadLimit::max_bytes(256)).expect("read");
        check(number, messages.iter().next().expect("a message").payload());
    }

    fn scan(&self, count: u64) {
        let log = self.0.lock().expect("commitlog");
        let mut next = 0;
        while next < count {
            let messages = log.read(next, ReadLimit::max_bytes(1 << 20)).expect("read");
            for message in messages.iter() {
                check(next, message.payload());
                next += 1;
            }
        }
    }
}

// --- raft-engine: a lane is a raft group ---

#[derive(Clone)]
struct Record;

impl MessageExt for Record {
    type Entry = BytesValue;

    fn index(entry: &BytesValue) -> u64 {
        u64::from_be_bytes(entry.value[..KEY_BYTES].try_into().expect("a key")) + 1
    }
}

struct RaftEngineStore {
    engine: Arc<Engine>,
    durable: bool,
}

impl RaftEngineStore {
    fn open(directory: &str, durable: bool) -> RaftEngineStore {
        let config = Config { dir: directory.to_owned(), ..Default::default() };
        RaftEngineStore { engine: Arc::new(Engine::open(config).expect("raft-engine")), durable }
    }
}

impl Store for RaftEngineStore {
    fn append(&self, lane: u64, first: u64, count: u64) {
        let entries: Vec<BytesValue> = (first..first + count)
            .map(|number| BytesValue { value: record(number), ..Default::default() })
            .collect();
        let mut batch = LogBatch::default();
        batch.add_entries::<Record>(lane + 1, &entries).expect("entries");
        self.engine.write(&mut batch, self.durable).expect("write");
    }

    fn read(&self, lane: u64, number: u64) {
        let entry = self.engine.get_entry::<Record>(lane + 1, number + 1).expect("read").expect("an entry");
        check(number, &entry.value);
    }

    fn scan(&self, count: u64) {
        const CHUNK: u64 = 10_000;
        let mut entries = Vec::new();
        for begin in (0..count).step_by(CHUNK as usize) {
            entries.clear();
            let end = count.min(begin + CHUNK);
            self.engine.fetch_entries_to::<Record>(1, begin + 1, end + 1, None, &mut entries).expect("entries");
            assert!(entries.len() as u64 == end - begin);
            for (number, entry) in (begin..end).zip(&entries) {
                check(number, &entry.value);
            }
        }
    }
}

// --- okaywal: what is checkpointed is gone, so nothing is looked up ---

struct OkayWalStore(WriteAheadLog);

impl OkayWalStore {
    fn open(directory: &str) -> OkayWalStore {
        OkayWalStore(WriteAheadLog::recover(directory, LogVoid).expect("okaywal"))
    }
}

impl Store for OkayWalStore {
    fn append(&self, _lane: u64, first: u64, count: u64) {
        let mut entry = self.0.begin_entry().expect("an entry");
        for number in first..first + count {
            entry.write_chunk(&record(number)).expect("a chunk");
        }
        entry.commit().expect("commit");
    }

    fn read(&self, _lane: u64, _number: u64) {
        unreachable!("okaywal finds nothing by its number");
    }

    fn scan(&self, _count: u64) {
        unreachable!("okaywal is read when it is recovered only");
    }
}
