//! Character devices.

use southbridge_backend_chardev::{Chardev, KINDS};
use southbridge_core::HostCx;
use southbridge_protocol_qmp::Error;

use super::{Result, refuse};
use crate::Cx;
use crate::schema::{
    ChardevAddArgs, ChardevBackend, ChardevBackendInfo, ChardevChangeArgs, ChardevCommon, ChardevInfo,
    ChardevRemoveArgs, ChardevReturn, ChardevSendBreakArgs, ChardevSocket, DataFormat, InetSocketAddress,
    RingbufReadArgs, RingbufWriteArgs, SocketAddressLegacy,
};

/// A back end by its id, with the context that it works in.
fn with<T>(cx: &mut Cx<'_>, id: &str, f: impl FnOnce(&mut Chardev, &mut HostCx<'_>) -> T) -> Result<T> {
    let found = cx.world.chardevs.get(id);
    match found.and_then(|b| cx.machine.sys.host.get::<Chardev>(b)) {
        Some((chardev, mut host)) => Ok(f(chardev, &mut host)),
        None => refuse(format!("there is no chardev '{id}'")),
    }
}

pub(super) fn query_chardev(cx: &mut Cx<'_>) -> Result<Vec<ChardevInfo>> {
    let ids: Vec<String> = cx.world.chardevs.iter().map(|(id, _)| id.to_owned()).collect();
    ids.into_iter()
        .map(|id| {
            with(cx, &id, |c, _| ChardevInfo {
                label: id.clone(),
                filename: c.describe(),
                frontend_open: c.is_used(),
            })
        })
        .collect()
}

pub(super) fn query_chardev_backends(_cx: &mut Cx<'_>) -> Result<Vec<ChardevBackendInfo>> {
    let here = KINDS.iter().filter(|k| k.missing().is_none());
    Ok(here
        .map(|k| ChardevBackendInfo {
            name: k.name.to_owned(),
        })
        .collect())
}

/// Options as the command line spells them.
#[derive(Default)]
struct Words(Vec<(&'static str, String)>);

impl Words {
    fn text(&mut self, name: &'static str, value: &Option<String>) {
        self.0.extend(value.clone().map(|v| (name, v)));
    }

    fn switch(&mut self, name: &'static str, value: Option<bool>) {
        self.0
            .extend(value.map(|v| (name, if v { "on" } else { "off" }.to_owned())));
    }

    fn number(&mut self, name: &'static str, value: Option<i64>) {
        self.0.extend(value.map(|v| (name, v.to_string())));
    }

    fn log(&mut self, common: (&Option<String>, Option<bool>)) {
        self.text("logfile", common.0);
        self.switch("logappend", common.1);
    }

    fn inet(&mut self, a: &InetSocketAddress, host: &'static str, port: &'static str) {
        self.0.push((host, a.host.clone()));
        self.0.push((port, a.port.clone()));
        self.number("to", a.to.map(i64::from));
        self.switch("ipv4", a.ipv4);
        self.switch("ipv6", a.ipv6);
    }
}

macro_rules! log {
    ($data:expr) => {
        (&$data.logfile, $data.logappend)
    };
}

/// The kind and the options of a back end.
fn words(cx: &mut Cx<'_>, backend: &ChardevBackend) -> Result<(&'static str, Vec<(&'static str, String)>)> {
    let mut w = Words::default();
    let kind = match backend {
        ChardevBackend::File(f) => {
            w.0.push(("path", f.data.out.clone()));
            w.text("input-path", &f.data.r#in);
            w.switch("append", f.data.append);
            w.log(log!(f.data));
            "file"
        }
        ChardevBackend::Serial(d) | ChardevBackend::Parallel(d) | ChardevBackend::Pipe(d) => {
            w.0.push(("path", d.data.device.clone()));
            w.log(log!(d.data));
            match backend {
                ChardevBackend::Serial(_) => "serial",
                ChardevBackend::Pipe(_) => "pipe",
                _ => "parallel",
            }
        }
        ChardevBackend::Socket(s) => {
            socket(cx, &s.data, &mut w)?;
            "socket"
        }
        ChardevBackend::Udp(u) => {
            udp(&u.data.remote, &u.data.local, &mut w)?;
            w.log(log!(u.data));
            "udp"
        }
        ChardevBackend::Pty(p) => {
            w.text("path", &p.data.path);
            w.log(log!(p.data));
            "pty"
        }
        ChardevBackend::Null(c) => common(&c.data, &mut w, "null"),
        ChardevBackend::Msmouse(c) => common(&c.data, &mut w, "msmouse"),
        ChardevBackend::Wctablet(c) => common(&c.data, &mut w, "wctablet"),
        ChardevBackend::Testdev(c) => common(&c.data, &mut w, "testdev"),
        ChardevBackend::Mux(m) => {
            w.0.push(("chardev", m.data.chardev.clone()));
            w.log(log!(m.data));
            "mux"
        }
        ChardevBackend::Hub(h) => {
            const PARTS: [&str; 4] = ["chardevs.0", "chardevs.1", "chardevs.2", "chardevs.3"];
            if h.data.chardevs.len() > PARTS.len() {
                return refuse(format!("a hub joins at most {} chardevs", PARTS.len()));
            }
            w.0.extend(PARTS.into_iter().zip(h.data.chardevs.iter().cloned()));
            w.log(log!(h.data));
            "hub"
        }
        ChardevBackend::Stdio(s) => {
            w.switch("signal", s.data.signal);
            w.log(log!(s.data));
            "stdio"
        }
        ChardevBackend::Vc(v) => {
            w.number("width", v.data.width);
            w.number("height", v.data.height);
            w.number("cols", v.data.cols);
            w.number("rows", v.data.rows);
            w.log(log!(v.data));
            "vc"
        }
        ChardevBackend::Ringbuf(r) | ChardevBackend::Memory(r) => {
            w.number("size", r.data.size);
            w.log(log!(r.data));
            "ringbuf"
        }
    };
    Ok((kind, w.0))
}

fn common(data: &ChardevCommon, w: &mut Words, kind: &'static str) -> &'static str {
    w.log(log!(data));
    kind
}

fn socket(cx: &mut Cx<'_>, s: &ChardevSocket, w: &mut Words) -> Result<()> {
    match &s.addr {
        SocketAddressLegacy::Unix(u) => {
            w.0.push(("path", u.data.path.clone()));
            w.switch("abstract", u.data.r#abstract);
            w.switch("tight", u.data.tight);
        }
        SocketAddressLegacy::Inet(i) => w.inet(&i.data, "host", "port"),
        SocketAddressLegacy::Vsock(_) => return refuse("sockets between guest and host (vsock) are not here"),
        SocketAddressLegacy::Fd(f) => {
            use rustix::fd::AsRawFd;
            let named = cx.world.named_fds.get(&f.data.str);
            w.0.push((
                "fd",
                named.map_or_else(|| f.data.str.clone(), |fd| fd.as_raw_fd().to_string()),
            ));
        }
    }
    // A server unless it says otherwise, other than on the command line.
    let server = s.server.unwrap_or(true);
    w.switch("server", Some(server));
    w.switch("wait", if server { s.wait.or(Some(false)) } else { s.wait });
    w.switch("nodelay", s.nodelay);
    w.switch("telnet", s.telnet);
    w.switch("tn3270", s.tn3270);
    w.switch("websocket", s.websocket);
    w.text("tls-creds", &s.tls_creds);
    w.text("tls-authz", &s.tls_authz);
    w.number("reconnect", s.reconnect);
    w.number("reconnect-ms", s.reconnect_ms);
    w.log(log!(s));
    Ok(())
}

fn udp(remote: &SocketAddressLegacy, local: &Option<SocketAddressLegacy>, w: &mut Words) -> Result<()> {
    match remote {
        SocketAddressLegacy::Inet(i) => w.inet(&i.data, "host", "port"),
        _ => return refuse("'remote' of datagrams is an 'inet' address"),
    }
    match local {
        Some(SocketAddressLegacy::Inet(i)) => w.inet(&i.data, "localaddr", "localport"),
        Some(_) => return refuse("'local' of datagrams is an 'inet' address"),
        None => {}
    }
    Ok(())
}

pub(super) fn chardev_add(cx: &mut Cx<'_>, args: ChardevAddArgs) -> Result<ChardevReturn> {
    if !southbridge_cli::keyval::value::is_id(&args.id) {
        return refuse(format!(
            "'id' cannot be '{}'; it takes {}",
            args.id,
            southbridge_cli::keyval::value::EXPECT_ID
        ));
    }
    let (kind, words) = words(cx, &args.backend)?;
    let pairs = words.iter().map(|(n, v)| (*n, v.as_str()));
    let opened = cx.world.chardevs.open(&mut cx.machine.sys.host, kind, &args.id, pairs);
    opened.map_err(|e| Error::generic(e.to_string()))?;
    Ok(ChardevReturn {
        pty: pty(cx, &args.id, kind)?,
    })
}

pub(super) fn chardev_change(cx: &mut Cx<'_>, args: ChardevChangeArgs) -> Result<ChardevReturn> {
    let (kind, words) = words(cx, &args.backend)?;
    let options: Vec<_> = words.iter().map(|(n, v)| (*n, v.as_str())).collect();
    change(cx, &args.id, kind, &options)?;
    Ok(ChardevReturn {
        pty: pty(cx, &args.id, kind)?,
    })
}

/// The terminal that a back end opened, if it is of that kind.
fn pty(cx: &mut Cx<'_>, id: &str, kind: &str) -> Result<Option<String>> {
    match kind {
        "pty" => Ok(with(cx, id, |c, _| c.describe())?
            .strip_prefix("pty:")
            .map(str::to_owned)),
        _ => Ok(None),
    }
}

/// Another back end takes the name of one; who used the old one uses the new one from then on.
pub(crate) fn change(cx: &mut Cx<'_>, id: &str, kind: &str, options: &[(&str, &str)]) -> Result<()> {
    with(cx, id, |_, _| ())?;
    let host = &mut cx.machine.sys.host;
    let changed = cx.world.chardevs.change(host, kind, id, options.iter().copied());
    changed.map_err(|e| Error::generic(e.to_string()))
}

pub(super) fn chardev_remove(cx: &mut Cx<'_>, args: ChardevRemoveArgs) -> Result<()> {
    if with(cx, &args.id, |c, _| c.is_used())? {
        return refuse(format!("chardev '{}' is in use", args.id));
    }
    cx.world.chardevs.remove(&mut cx.machine.sys.host, &args.id);
    Ok(())
}

pub(super) fn chardev_send_break(cx: &mut Cx<'_>, args: ChardevSendBreakArgs) -> Result<()> {
    with(cx, &args.id, |c, host| c.send_break(host))
}

pub(super) fn ringbuf_write(cx: &mut Cx<'_>, args: RingbufWriteArgs) -> Result<()> {
    let data = match args.format {
        Some(DataFormat::Base64) => match base64(&args.data) {
            Some(data) => data,
            None => return refuse("'data' is no base64"),
        },
        _ => args.data.into_bytes(),
    };
    match with(cx, &args.device, |c, _| c.ringbuf_write(&data))? {
        true => Ok(()),
        false => refuse(format!("chardev '{}' is no ring buffer", args.device)),
    }
}

pub(super) fn ringbuf_read(cx: &mut Cx<'_>, args: RingbufReadArgs) -> Result<String> {
    let Some(most) = usize::try_from(args.size).ok().filter(|n| *n > 0) else {
        return refuse("'size' is more than 0");
    };
    match with(cx, &args.device, |c, _| c.ringbuf_read(most))? {
        Some(data) if args.format == Some(DataFormat::Base64) => Ok(to_base64(&data)),
        Some(data) => Ok(String::from_utf8_lossy(&data).into_owned()),
        None => refuse(format!("chardev '{}' is no ring buffer", args.device)),
    }
}

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn to_base64(data: &[u8]) -> String {
    let mut out = String::new();
    for chunk in data.chunks(3) {
        let bits = chunk.iter().fold(0u32, |n, b| n << 8 | u32::from(*b)) << (8 * (3 - chunk.len()));
        for i in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * i) & 63) as usize];
            out.push(if i <= chunk.len() { digit as char } else { '=' });
        }
    }
    out
}

fn base64(text: &str) -> Option<Vec<u8>> {
    let text = text.as_bytes();
    let digits = text.strip_suffix(b"==").or(text.strip_suffix(b"=")).unwrap_or(text);
    if !text.len().is_multiple_of(4) {
        return None;
    }
    let mut out = Vec::new();
    for chunk in digits.chunks(4) {
        let mut bits = 0;
        for d in chunk {
            bits = bits << 6 | DIGITS.iter().position(|x| x == d)? as u32;
        }
        bits <<= 6 * (4 - chunk.len());
        out.extend_from_slice(&bits.to_be_bytes()[1..chunk.len()]);
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    #[test]
    fn base64_both_ways() {
        for (data, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
        ] {
            assert_eq!(super::to_base64(data.as_bytes()), text);
            assert_eq!(super::base64(text).as_deref(), Some(data.as_bytes()));
        }
        assert_eq!(super::base64("Zg"), None);
        assert_eq!(super::base64("Z!=="), None);
    }
}
