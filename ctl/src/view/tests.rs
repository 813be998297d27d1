//! What does not show through a pipe: colours, and what a terminal must not see.

use std::cell::RefCell;
use std::io::{self, Write};
use std::rc::Rc;

use api::v1::{Peer, PeerState};

use super::peer::PeerView;
use super::{Cell, Level, Printer, Tone};
use crate::cli::Format;

#[derive(Clone, Default)]
struct Shared(Rc<RefCell<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn peers(colour: bool, states: &[PeerState]) -> String {
    let views: Vec<PeerView> =
        states.iter().map(|state| Peer { state: (*state).into(), ..Peer::default() }.into()).collect();
    let out = Shared::default();
    Printer::new(Box::new(out.clone()), Format::Table, colour).list(&views).expect("memory takes it");
    let bytes = out.0.take();
    String::from_utf8(bytes).expect("UTF-8")
}

#[test]
fn colours_do_not_move_columns() {
    let states = [PeerState::Established, PeerState::Idle, PeerState::OpenSent];
    let coloured = peers(true, &states);
    assert!(coloured.contains("\u{1b}[32mEstablished\u{1b}[0m"), "{coloured:?}");
    let stripped = anstream::adapter::strip_str(&coloured).to_string();
    assert_eq!(stripped, peers(false, &states));
}

#[test]
fn a_list_in_parts_is_one_list() {
    let rows = |asn: u32| [PeerView::from(Peer { asn: Some(asn), ..Peer::default() })];
    let print = |format| {
        let out = Shared::default();
        let mut printer = Printer::new(Box::new(out.clone()), format, false);
        let mut list = printer.begin(Level::Short);
        list.push::<PeerView>(&[]).expect("memory takes it");
        list.push(&rows(1)).expect("memory takes it");
        list.push(&rows(4_200_000_000)).expect("memory takes it");
        list.end().expect("memory takes it");
        String::from_utf8(out.0.take()).expect("UTF-8")
    };
    let table = print(Format::Table);
    assert_eq!(table.lines().count(), 3, "titles once: {table}");
    for text in [print(Format::Json), print(Format::Yaml)] {
        let value: serde_json::Value = serde_saphyr::from_str(&text).expect("JSON is YAML");
        assert_eq!(value[0]["asn"], 1, "{text}");
        assert_eq!(value[1]["asn"], 4_200_000_000_u32, "{text}");
    }
}

#[test]
fn no_line_ends_with_a_space() {
    let table = peers(false, &[PeerState::Established]);
    assert!(table.lines().all(|line| line.trim_end() == line), "{table:?}");
}

#[test]
fn control_characters_of_a_peer_do_not_reach_the_terminal() {
    let cell = Cell::new("bye\u{1b}[2J\nforged");
    assert_eq!(cell, Cell::new("bye\\u{1b}[2J\\nforged"));
    assert_eq!(Cell::new("").tone(Tone::Bad), Cell::new("-").tone(Tone::Bad));
}
