//! Measures write-ahead logs written in Rust, as bench/support/served_program.py tells:
//!
//!     peers commitlog|raft-engine|okaywal DIRECTORY [SIZE=NUMBER...]
//!
//! Answers a line of JSON for each line that names a work. Records are numbered from 0: a key of 8 bytes, the number, and
//! a value of 100 bytes that begins with it. Every failure, and every wrong answer, ends it with a panic.

mod stores;
mod works;

use std::collections::HashMap;
use std::io::BufRead;

fn quoted(names: &[&str]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
    format!("[{}]", names.join(","))
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let peer = arguments.get(1).and_then(|name| stores::peer(name));
    let (Some(peer), Some(directory)) = (peer, arguments.get(2)) else {
        eprintln!("commitlog, raft-engine or okaywal expected, then a directory, then sizes: NAME=NUMBER");
        std::process::exit(3);
    };
    let sizes: HashMap<String, u64> = arguments[3..]
        .iter()
        .map(|argument| {
            let (name, value) = argument.split_once('=').expect("NAME=NUMBER");
            (name.to_owned(), value.parse().expect("a number"))
        })
        .collect();
    let mut works = works::Works::new(peer, directory, sizes);
    println!(
        r#"{{"subject":"{}","version":"{}","works":{},"process_durability":"{}","power_durability":"{}"}}"#,
        peer.name,
        peer.version,
        quoted(&works.names()),
        peer.process_durability,
        peer.power_durability
    );
    for work in std::io::stdin().lock().lines() {
        let work = work.expect("a line");
        let values: Vec<String> = works
            .run(&work)
            .iter()
            .map(|value| value.map_or("null".to_owned(), |number| number.to_string()))
            .collect();
        println!(
            r#"{{"work":"{work}","round":[{{"subject":"{}","values":[{}]}}]}}"#,
            peer.name,
            values.join(",")
        );
    }
    works.forget();
}
