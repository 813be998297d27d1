//! The writer's loop: takes what has come, and does a round.

use tokio::sync::mpsc;

use super::{ENOUGH, TURN, Writer};
use crate::fib::{Alarm, Command, FibEvent};

impl Writer {
    /// Works until the queue closes or [`Command::Shutdown`] comes. The
    /// netlink calls block this thread, which is the writer's own.
    pub(crate) async fn run(
        mut self,
        mut inbox: mpsc::Receiver<Command>,
        alarms: mpsc::Receiver<Alarm>,
        outbox: mpsc::Sender<FibEvent>,
    ) {
        self.alarms = Some(alarms);
        while !(self.ending && self.idle()) {
            if self.idle() || self.is_waiting() {
                self.wait(&mut inbox, &outbox).await;
            }
            for _ in 0..TURN {
                if self.queue.len() >= ENOUGH {
                    break;
                }
                let Ok(command) = inbox.try_recv() else { break };
                self.take(command);
            }
            self.round();
            self.settle_quietly(outbox.capacity() == outbox.max_capacity());
            while self.has_events()
                && let Ok(permit) = outbox.try_reserve()
                && let Some(event) = self.next_event()
            {
                permit.send(event);
            }
        }
        while let Some(event) = self.next_event() {
            if outbox.try_send(event).is_err() {
                break;
            }
        }
    }

    /// Waits for something to do.
    async fn wait(&mut self, inbox: &mut mpsc::Receiver<Command>, outbox: &mpsc::Sender<FibEvent>) {
        let Some(mut alarms) = self.alarms.take() else { return };
        let bell = self.line.bell();
        let room = self.queue.len() < ENOUGH && !self.ending;
        tokio::select! {
            biased;
            Some(alarm) = alarms.recv() => self.sound(alarm),
            () = bell.notified(), if self.line.is_out() => {}
            command = inbox.recv(), if room => self.take_or_end(command),
            permit = outbox.reserve(), if self.has_events() => match (permit, self.next_event()) {
                (Ok(permit), Some(event)) => permit.send(event),
                // Nobody reads the events any more.
                _ => self.forget_events(),
            },
        }
        self.alarms = Some(alarms);
    }

    /// True when all that can be prepared is, and the kernel is at work.
    fn is_waiting(&mut self) -> bool {
        self.line.is_busy()
            && (self.ready.is_some() || self.queue.is_empty())
            && !self.due.routes
            && !self.due.objects
    }

    /// What cannot wait for the routes that are being written; true when there
    /// was something.
    pub(super) fn alarms(&mut self) -> bool {
        let mut any = false;
        while let Some(Ok(alarm)) = self.alarms.as_mut().map(mpsc::Receiver::try_recv) {
            self.sound(alarm);
            any = true;
        }
        any
    }

    /// Does what cannot wait before what was prepared to be written.
    fn sound(&mut self, alarm: Alarm) {
        let halted = self.halt();
        self.alarm(alarm);
        self.put_back(halted);
    }

    pub(super) fn idle(&self) -> bool {
        let removing = !self.removals.is_empty() && (!self.removals.held() || self.ending);
        let collecting = self.ways.garbage && self.removals.is_empty();
        self.all_written() && !removing && !self.due.routes && !self.due.objects && !collecting
    }

    fn take_or_end(&mut self, command: Option<Command>) {
        match command {
            Some(command) => self.take(command),
            None => self.ending = true,
        }
    }
}
