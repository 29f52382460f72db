//! All network back ends of a machine, by id.

use southbridge_backend_chardev::{CharHandle, Chardev, Chardevs};
use southbridge_backend_usernet::GuestForward;
use southbridge_core::host::{BackendId, Host, HostCx};
use std::collections::BTreeMap;

use crate::error::{FAMILY, NetError};
use crate::kind::hubport::{Hub, HubPort};
use crate::kind::user;
use crate::kind::vhost_user::VhostUser;
use crate::kind::{self, Kind, Make, Maker, Options};
use crate::link::Link;
use crate::message::Messages;
use crate::netdev::{NetHandle, Netdev};

/// The directory of a machine's network back ends. A clone is a copy of the names as they are now; it shares the hubs.
#[derive(Clone, Default)]
pub struct Netdevs {
    ids: BTreeMap<String, BackendId>,
    hubs: BTreeMap<u64, Hub>,
    messages: Messages,
    /// Character back ends that options may name.
    pub chardevs: Chardevs,
}

impl Netdevs {
    /// Opens a back end from options as the command line spells them (without `id` and `type`).
    ///
    /// # Errors
    /// Names the option that is wrong and what would be right. Nothing is left behind.
    pub fn open<'t>(
        &mut self,
        host: &mut Host,
        kind: &str,
        id: &str,
        pairs: impl IntoIterator<Item = (&'t str, &'t str)>,
    ) -> Result<BackendId, NetError> {
        let kind = kind::find(kind)?;
        let options = kind::parse(kind, pairs)?;
        self.open_parsed(host, kind, id, &options)
    }

    /// The same from parsed options.
    ///
    /// # Errors
    /// As [`Netdevs::open`].
    pub fn open_parsed(
        &mut self,
        host: &mut Host,
        kind: &'static Kind,
        id: &str,
        options: &Options,
    ) -> Result<BackendId, NetError> {
        if self.ids.contains_key(id) {
            return Err(NetError::DuplicateId {
                family: FAMILY,
                id: id.to_owned(),
            });
        }
        let backend = match kind.maker {
            Maker::Link(make) => {
                let link = make(&mut Make { options })?;
                self.add(host, kind.name, id, link)?
            }
            Maker::HubPort => self.hub_port(host, id, options)?,
            Maker::User => self.user(host, id, options)?,
            Maker::VhostUser => self.vhost_user(host, id, options)?,
            Maker::Missing(why) => {
                return Err(NetError::KindMissing {
                    family: FAMILY,
                    kind: kind.name,
                    why,
                });
            }
        };
        self.ids.insert(id.to_owned(), backend);
        Ok(backend)
    }

    fn add(&self, host: &mut Host, kind: &'static str, id: &str, link: Box<dyn Link>) -> Result<BackendId, NetError> {
        let mut netdev = Netdev::new(id, kind, link, self.messages.clone());
        host.add(|cx| {
            start(&mut netdev, cx)?;
            Ok(Box::new(netdev) as _)
        })
    }

    /// The channels of `guestfwd` are joined when the back end is there: they wake it.
    fn user(&mut self, host: &mut Host, id: &str, options: &Options) -> Result<BackendId, NetError> {
        let link = user::make(&mut Make { options })?;
        let backend = self.add(host, "user", id, link)?;
        for (rule, name) in user::chardev_forwards(options) {
            if let Err(e) = self.join_channel(host, backend, &rule, &name) {
                host.remove(backend);
                return Err(e);
            }
        }
        Ok(backend)
    }

    fn join_channel(
        &self,
        host: &mut Host,
        backend: BackendId,
        rule: &GuestForward,
        name: &str,
    ) -> Result<(), NetError> {
        let refused = |why: String| NetError::Refused {
            option: Some("guestfwd"),
            why: format!("guestfwd to the chardev '{name}': {why}"),
        };
        let channel = self.chardevs.get(name);
        let channel = channel.ok_or_else(|| refused("there is none (make it with -chardev)".into()))?;
        let Some((_, cx)) = host.get::<Netdev>(backend) else {
            return Ok(());
        };
        let waker = cx.waker();
        let handle = CharHandle::attach(host, channel, Some(Box::new(move || waker.wake())));
        let handle = handle.map_err(|e| refused(format!("it {e}")))?;
        let Some((netdev, mut cx)) = host.get::<Netdev>(backend) else {
            return Ok(());
        };
        let joined = netdev.on_link(&mut cx, |user: &mut user::User, _| user.add_channel(rule, handle));
        joined.unwrap_or(Ok(()))
    }

    fn vhost_user(&mut self, host: &mut Host, id: &str, options: &Options) -> Result<BackendId, NetError> {
        let link = VhostUser::new(options)?;
        let name = options.str("chardev").unwrap_or_default();
        let refused = |expected: String| NetError::BadValue {
            option: "chardev".into(),
            value: name.into(),
            expected,
        };
        let channel = self.chardevs.get(name);
        let channel =
            channel.ok_or_else(|| refused("the id of a -chardev socket (there is none of this id)".into()))?;
        let is_unix = |c: &Chardev| c.kind() == "socket" && ["unix:", "fd:"].iter().any(|w| c.describe().contains(w));
        if !host.peek::<Chardev>(channel).is_some_and(is_unix) {
            let expected = "a -chardev socket with path=FILE: only a unix socket hands memory over";
            return Err(refused(expected.into()));
        }
        let backend = self.add(host, "vhost-user", id, Box::new(link))?;
        let Some((_, cx)) = host.get::<Netdev>(backend) else {
            return Ok(backend);
        };
        let waker = cx.waker();
        match CharHandle::attach(host, channel, Some(Box::new(move || waker.wake()))) {
            Ok(handle) => {
                if let Some((netdev, mut cx)) = host.get::<Netdev>(backend) {
                    netdev.on_link(&mut cx, |link: &mut VhostUser, cx| link.join(handle, cx));
                }
                Ok(backend)
            }
            Err(e) => {
                host.remove(backend);
                Err(refused(format!("a chardev that is free: this one {e}")))
            }
        }
    }

    fn hub_port(&mut self, host: &mut Host, id: &str, options: &Options) -> Result<BackendId, NetError> {
        let number = options.uint("hubid").ok_or(NetError::Missing {
            kind: "hubport",
            option: "hubid",
            expected: "NUMBER",
        })?;
        let behind = match options.str("netdev") {
            Some(name) => Some((name, self.named(name)?)),
            None => None,
        };
        let hub = self.hubs.entry(number).or_default().clone();
        let port = self.add(host, "hubport", id, Box::new(HubPort::new(hub, number)))?;
        if let Some((name, backend)) = behind {
            let Some((_, cx)) = host.get::<Netdev>(port) else {
                return Ok(port);
            };
            let waker = cx.waker();
            match NetHandle::attach(host, backend, Some(Box::new(move || waker.wake()))) {
                Ok(handle) => {
                    if let Some((n, mut cx)) = host.get::<Netdev>(port) {
                        n.on_link(&mut cx, |l: &mut HubPort, _| l.lead_to(name, handle));
                    }
                }
                Err(e) => {
                    host.remove(port);
                    let why = format!("names '{name}', which {e}");
                    return Err(NetError::Conflict { option: "netdev", why });
                }
            }
        }
        Ok(port)
    }

    /// The back end whose id an option `netdev` names.
    fn named(&self, name: &str) -> Result<BackendId, NetError> {
        self.get(name).ok_or_else(|| {
            let known: Vec<_> = self.ids.keys().map(String::as_str).collect();
            NetError::BadValue {
                option: "netdev".into(),
                value: name.into(),
                expected: if known.is_empty() {
                    "the id of a netdev that stands before this one (there is none)".into()
                } else {
                    format!("the id of a netdev that stands before this one: {}", known.join(", "))
                },
            }
        })
    }

    /// A back end by its id.
    pub fn get(&self, id: &str) -> Option<BackendId> {
        self.ids.get(id).copied()
    }

    /// All ids with their back ends, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, BackendId)> {
        self.ids.iter().map(|(k, v)| (k.as_str(), *v))
    }

    /// Closes a back end and forgets its id; the NIC in front finds its cable pulled. `false` if there is none of that id.
    pub fn remove(&mut self, host: &mut Host, id: &str) -> bool {
        let found = self.ids.remove(id);
        if let Some(backend) = found {
            host.remove(backend);
        }
        found.is_some()
    }

    /// Where warnings and news of peers go: set who hears them before opening anything.
    pub fn messages(&self) -> &Messages {
        &self.messages
    }
}

fn start(netdev: &mut Netdev, host: &mut HostCx<'_>) -> Result<(), NetError> {
    netdev.start(host).map_err(|e| {
        southbridge_core::host::Backend::close(netdev, host);
        NetError::host(None, format!("cannot start '{}'", netdev.kind()), e)
    })
}
