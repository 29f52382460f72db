//! Where a state goes or comes from, in QEMU's spelling.

use std::path::PathBuf;
use thiserror::Error;

/// The other end of a migration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Uri {
    /// `file:PATH[,offset=N]`.
    File {
        /// Where.
        path: PathBuf,
        /// Bytes to skip at its start.
        offset: u64,
    },
    /// `unix:PATH`.
    Unix(PathBuf),
    /// `tcp:[HOST]:PORT`.
    Tcp {
        /// Name or address; empty for any (incoming) or this host (outgoing).
        host: String,
        /// Port; 0 for any (incoming).
        port: u16,
    },
    /// `fd:NAME` or `fd:N`: a descriptor that a monitor was given by that name, or an inherited one.
    Fd(String),
    /// `exec:COMMAND`: standard input or output of a command of the shell.
    Exec(String),
}

/// Why it is none.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum UriError {
    /// Of no kind that this program has.
    #[error(
        "there is no way to migrate called '{0}'; there is file:PATH, unix:PATH, tcp:[HOST]:PORT, fd:NAME and exec:COMMAND"
    )]
    Unknown(String),
    /// Of a known kind, and wrong.
    #[error("'{0}' is not of the form {1}")]
    Form(String, &'static str),
}

impl Uri {
    /// From its text.
    ///
    /// # Errors
    /// When it has no form that this program knows.
    pub fn parse(text: &str) -> Result<Self, UriError> {
        let form = |form| UriError::Form(text.to_owned(), form);
        let Some((kind, rest)) = text.split_once(':') else {
            return Err(UriError::Unknown(text.to_owned()));
        };
        if rest.is_empty() {
            return Err(form("KIND:ADDRESS"));
        }
        match kind {
            "file" => file(rest).ok_or_else(|| form("file:PATH[,offset=NUMBER]")),
            "unix" => Ok(Self::Unix(rest.into())),
            "tcp" => tcp(rest).ok_or_else(|| form("tcp:[HOST]:PORT")),
            "fd" => Ok(Self::Fd(rest.to_owned())),
            "exec" => Ok(Self::Exec(rest.to_owned())),
            other => Err(UriError::Unknown(other.to_owned())),
        }
    }
}

fn file(rest: &str) -> Option<Uri> {
    let (path, offset) = match rest.rsplit_once(",offset=") {
        Some((path, offset)) => (path, number(offset)?),
        None => (rest, 0),
    };
    let path = (!path.is_empty()).then(|| path.into())?;
    Some(Uri::File { path, offset })
}

fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

fn tcp(rest: &str) -> Option<Uri> {
    let (host, port) = rest.rsplit_once(':')?;
    let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    // Options of sockets in general may follow; none of them means anything here.
    let port = port.split(',').next()?.parse().ok()?;
    Some(Uri::Tcp {
        host: host.to_owned(),
        port,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_read() {
        let tcp = |host: &str, port| Uri::Tcp {
            host: host.into(),
            port,
        };
        let file = |path: &str, offset| Uri::File {
            path: path.into(),
            offset,
        };
        for (text, uri) in [
            ("file:/tmp/a,b", file("/tmp/a,b", 0)),
            ("file:/tmp/a,offset=0x1000", file("/tmp/a", 4096)),
            ("unix:/tmp/s", Uri::Unix("/tmp/s".into())),
            ("tcp:0:4444", tcp("0", 4444)),
            ("tcp::4444", tcp("", 4444)),
            ("tcp:[::1]:4444", tcp("::1", 4444)),
            ("fd:mig", Uri::Fd("mig".into())),
            ("exec:gzip -c > a:b", Uri::Exec("gzip -c > a:b".into())),
        ] {
            assert_eq!(Uri::parse(text), Ok(uri), "{text}");
        }
        for text in [
            "",
            "x",
            "file:",
            "tcp:1",
            "tcp:a:99999",
            "rdma:h:1",
            "file:,offset=1",
            "file:a,offset=b",
        ] {
            assert!(Uri::parse(text).is_err(), "{text}");
        }
    }
}
