//! One connection, from the greeting on.

use serde_json::{Value, json};
use std::collections::VecDeque;
use std::time::Duration;

use crate::json::Stream;
use crate::request::{Call, Envelope};
use crate::{Error, print};

/// Requests in band that wait before the client is no longer read.
const QUEUE: usize = 8;

/// What came out of a connection.
#[derive(Debug, Clone, PartialEq)]
pub enum Incoming {
    /// A command to be run; [`Session::answer`] makes its answer.
    Call(Call),
    /// An answer that the session gives by itself.
    Reply(Value),
}

/// A connection's state.
#[derive(Debug)]
pub struct Session {
    stream: Stream,
    pretty: bool,
    negotiated: bool,
    out_of_band: bool,
    waiting: VecDeque<Envelope>,
    urgent: VecDeque<Envelope>,
}

impl Session {
    /// A fresh connection; `pretty` indents all that is sent.
    pub fn new(pretty: bool) -> Self {
        Self {
            stream: Stream::default(),
            pretty,
            negotiated: false,
            out_of_band: false,
            waiting: VecDeque::new(),
            urgent: VecDeque::new(),
        }
    }

    /// The first thing to send. `version` is what `query-version` answers.
    pub fn greeting(version: Value) -> Value {
        json!({ "QMP": { "version": version, "capabilities": ["oob"] } })
    }

    /// Whether the client has left negotiation behind: before, it gets no events.
    pub fn is_negotiated(&self) -> bool {
        self.negotiated
    }

    /// Takes what the client sent.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.stream.feed(bytes);
    }

    /// Whether more should be read from the client now. What was read already stays valid.
    pub fn wants_more(&self) -> bool {
        self.waiting.len() + self.stream.waiting() < QUEUE
    }

    /// The next thing to do: what was sent out of band first, then all else in its order.
    #[allow(
        clippy::should_implement_trait,
        reason = "a queue that fills up again is no iterator"
    )]
    pub fn next(&mut self) -> Option<Incoming> {
        self.sort();
        let envelope = self.urgent.pop_front().or_else(|| self.waiting.pop_front())?;
        Some(match envelope {
            Envelope::Wrong(id, error) => Incoming::Reply(self.answer(id, Err(error))),
            Envelope::Call(call) if self.negotiated && call.name != "qmp_capabilities" => Incoming::Call(call),
            Envelope::Call(call) => {
                let result = self.negotiate(&call);
                Incoming::Reply(self.answer(call.id, result.map(|()| json!({}))))
            }
        })
    }

    /// Opens the envelopes of all messages up to the first that may change how envelopes are read.
    fn sort(&mut self) {
        while self.negotiated || (self.waiting.is_empty() && self.urgent.is_empty()) {
            let Some(message) = self.stream.next() else { return };
            let envelope = match message {
                Ok(value) => Envelope::open(value, self.out_of_band),
                Err(why) => Envelope::Wrong(None, Error::generic(why)),
            };
            match &envelope {
                Envelope::Call(call) if call.out_of_band => self.urgent.push_back(envelope),
                _ => self.waiting.push_back(envelope),
            }
        }
    }

    fn negotiate(&mut self, call: &Call) -> Result<(), Error> {
        if self.negotiated {
            return Err(Error::no_command("capabilities have been negotiated already"));
        }
        if call.name != "qmp_capabilities" {
            return Err(Error::no_command(format!(
                "'{}' must wait: negotiate capabilities first, with 'qmp_capabilities'",
                call.name
            )));
        }
        let mut oob = false;
        for (key, value) in &call.arguments {
            let ("enable", Value::Array(list)) = (key.as_str(), value) else {
                return Err(Error::generic(format!(
                    "'{key}' is not 'enable' with a list of capabilities"
                )));
            };
            for capability in list {
                match capability.as_str() {
                    Some("oob") => oob = true,
                    _ => return Err(Error::generic(format!("there is no capability {capability}"))),
                }
            }
        }
        self.out_of_band = oob;
        self.negotiated = true;
        Ok(())
    }

    /// The answer to a call.
    pub fn answer(&self, id: Option<Value>, result: Result<Value, Error>) -> Value {
        let mut answer = match result {
            Ok(value) => json!({ "return": value }),
            Err(error) => json!({ "error": error }),
        };
        if let (Some(members), Some(id)) = (answer.as_object_mut(), id) {
            members.insert("id".into(), id);
        }
        answer
    }

    /// A message as this client wants it, with the end of its line.
    pub fn print(&self, message: &Value) -> String {
        let mut text = if self.pretty {
            print::pretty(message).replace('\n', "\r\n")
        } else {
            print::compact(message)
        };
        text.push_str("\r\n");
        text
    }
}

/// An event. `time` is since the beginning of 1970.
pub fn event(name: &str, data: Option<Value>, time: Duration) -> Value {
    let mut event = json!({
        "event": name,
        "timestamp": { "seconds": time.as_secs(), "microseconds": time.subsec_micros() },
    });
    if let (Some(members), Some(data)) = (event.as_object_mut(), data) {
        members.insert("data".into(), data);
    }
    event
}
