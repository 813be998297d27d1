//! How fast UPDATEs are read and written, beside other crates on the same bytes.
//!
//! Run with `cargo bench -p bgp`, or a part of it with
//! `cargo bench -p bgp --bench codec -- "write, ipv4"`. The codecs take turns, and the best turn of
//! each counts: what else the machine does only ever makes a turn slower. A
//! ratio over 1 means that we are faster than the fastest of the others.

#![expect(clippy::print_stdout, reason = "the table is what a benchmark is for")]

mod rivals;

use std::time::{Duration, Instant};

use bgp::wire::{Message, decode, frame};
use net::Family;

use self::rivals::{COUNTS, RX, Speaker, Work, speakers};

/// How often each has its turn.
const TURNS: usize = 9;
/// How long a turn lasts at least.
const TURN: Duration = Duration::from_millis(30);

fn main() {
    // `cargo bench` adds options of its own.
    let wanted = std::env::args().skip(1).find(|word| !word.starts_with('-'));
    println!("Million prefixes a second; the ratio is ours to the fastest of the others.\n");
    let mut names: Vec<&str> = speakers(Family::Ipv4Unicast, 1).iter().map(|speaker| speaker.name).collect();
    names.push("ratio");
    println!("| |{} |", names.iter().map(|name| format!(" {name}")).collect::<Vec<_>>().join(" |"));
    println!("|---|{}", "---|".repeat(names.len()));
    for family in Family::ALL {
        for count in COUNTS {
            let (read, write) = split(speakers(family, count));
            for (what, field) in [("read", read), ("write", write)] {
                let name = format!("{what}, {family}, {count}");
                if wanted.as_ref().is_none_or(|wanted| format!("{name},").starts_with(&format!("{wanted},")))
                {
                    report(&name, &race(count, field));
                }
            }
        }
    }
    println!("\nEveryone reads the same octets; what is written:\n");
    for family in Family::ALL {
        for count in COUNTS {
            compare(family, count);
        }
    }
}

/// Says who writes something else than what it has read.
fn compare(family: Family, count: u32) {
    let speakers = speakers(family, count);
    let Some((ours, others)) = speakers.split_first() else { return };
    let whole = ours.written.len();
    for Speaker { name, written, .. } in others.iter().filter(|other| other.write.is_some()) {
        let octets = written.len();
        if update(written) != update(&ours.written) {
            println!("- {family}, {count}: {name} says something else, in {octets} octets, not {whole}");
        } else if *written != ours.written {
            println!("- {family}, {count}: {name} says the same in {octets} octets, not {whole}");
        }
    }
}

/// What a message says.
fn update(message: &[u8]) -> Option<Message> {
    let (frame, _) = frame(message, RX.max()).ok().flatten()?;
    decode(frame, &RX).ok()
}

/// What each does when it reads, and when it writes.
fn split(speakers: Vec<Speaker>) -> (Vec<Option<Work>>, Vec<Option<Work>>) {
    speakers.into_iter().map(|speaker| (Some(speaker.read), speaker.write)).unzip()
}

/// The best speed of each in million prefixes a second.
fn race(count: u32, mut field: Vec<Option<Work>>) -> Vec<Option<f64>> {
    let mut best: Vec<Option<f64>> = field.iter().map(|work| work.as_ref().map(|_| 0.0)).collect();
    for _ in 0..TURNS {
        for (work, best) in field.iter_mut().zip(&mut best) {
            if let (Some(work), Some(best)) = (work, best) {
                *best = best.max(speed(count, work));
            }
        }
    }
    best
}

fn speed(count: u32, work: &mut Work) -> f64 {
    let batch = 200 / count + 1;
    let (start, mut messages) = (Instant::now(), 0_u32);
    loop {
        for _ in 0..batch {
            work();
        }
        messages += batch;
        let time = start.elapsed();
        if time >= TURN {
            return f64::from(messages) * f64::from(count) / time.as_secs_f64() / 1e6;
        }
    }
}

/// Writes a row of the table.
fn report(name: &str, speeds: &[Option<f64>]) {
    let cells: Vec<String> =
        speeds.iter().map(|speed| speed.map_or("–".to_owned(), |speed| format!("{speed:.1}"))).collect();
    let ours = speeds.first().copied().flatten().unwrap_or(0.0);
    let fastest = speeds.iter().skip(1).flatten().copied().fold(0.0, f64::max);
    println!("| {name} | {} | {:.2} |", cells.join(" | "), ours / fastest);
}
