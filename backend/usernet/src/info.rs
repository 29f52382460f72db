//! What `info usernet` shows.

use std::fmt::Write;
use std::net::SocketAddr;

/// One line of `info usernet`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlowInfo {
    /// Protocol and state: `TCP[ESTABLISHED]`, `TCP[HOST_FORWARD]`, `UDP[236 sec]`, `ICMP[10 sec]`.
    pub protocol: String,
    /// The host's descriptor, -1 if there is none.
    pub fd: i32,
    /// Where packets come from; `None` and the unspecified address print as `*`.
    pub source: Option<SocketAddr>,
    /// Where they go.
    pub destination: Option<SocketAddr>,
    /// Bytes waiting for the host.
    pub receive_queue: usize,
    /// Bytes waiting for the guest.
    pub send_queue: usize,
}

/// The table as the monitor prints it.
pub(crate) fn table(flows: &[FlowInfo]) -> String {
    let mut text = String::from("  Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ\n");
    let cells = |end: Option<SocketAddr>| match end {
        Some(end) if end.ip().is_unspecified() => ("*".to_owned(), end.port().to_string()),
        Some(end) => (end.ip().to_string(), end.port().to_string()),
        None => ("*".to_owned(), "0".to_owned()),
    };
    for flow in flows {
        let (source, source_port) = cells(flow.source);
        let (destination, port) = cells(flow.destination);
        let _ = writeln!(
            text,
            "  {:<17} {:3} {source:>15} {source_port:>5} {destination:>15} {port:>5} {:5} {:5}",
            flow.protocol, flow.fd, flow.receive_queue, flow.send_queue
        );
    }
    text
}
