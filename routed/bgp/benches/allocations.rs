//! How often memory is asked for to read and to write an UPDATE, beside other
//! crates on the same bytes.
//!
//! Run with `cargo bench -p bgp`. Apart from the speeds, for an allocator that
//! counts slows those down who allocate. What is asked for a second time is
//! what counts: buffers that are kept are there by then.

#![expect(clippy::print_stdout, reason = "the table is what a benchmark is for")]

mod rivals;

use net::Family;

use self::rivals::{COUNTS, Speaker, Work, speakers};

fn main() {
    println!("Allocations a message, to read it and to write it, and the octets that are written.\n");
    let names: Vec<&str> = speakers(Family::Ipv4Unicast, 1).iter().map(|speaker| speaker.name).collect();
    println!("| | {} |", names.join(" | "));
    println!("|---|{}", "---|".repeat(names.len()));
    for family in Family::ALL {
        for count in COUNTS {
            let cells: Vec<String> = speakers(family, count).into_iter().map(cell).collect();
            println!("| {family}, {count} | {} |", cells.join(" | "));
        }
    }
}

fn cell(mut speaker: Speaker) -> String {
    let write = speaker.write.as_mut().map_or("–".to_owned(), |write| again(write).to_string());
    let octets = speaker.written.len();
    format!("{}, {write}, {octets}", again(&mut speaker.read))
}

/// What the second time takes.
fn again(work: &mut Work) -> u64 {
    work();
    allocation_counter::measure(work).count_total
}
