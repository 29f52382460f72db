//! What back ends tell the person at the command line and the monitor.

use southbridge_core::DeviceId;
use std::sync::{Arc, Mutex, PoisonError};

use crate::link::Address;

/// Something that a back end has to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// What went wrong and does not end anything.
    Warning(String),
    /// A `stream` has a peer (`NETDEV_STREAM_CONNECTED`).
    Connected {
        /// Back end.
        netdev: String,
        /// The peer.
        address: Address,
    },
    /// It has lost it (`NETDEV_STREAM_DISCONNECTED`).
    Disconnected {
        /// Back end.
        netdev: String,
    },
    /// A `vhost-user` has somebody who works on its rings (`NETDEV_VHOST_USER_CONNECTED`).
    Lent {
        /// Back end.
        netdev: String,
        /// The character back end that leads there.
        chardev: String,
    },
    /// It has lost it (`NETDEV_VHOST_USER_DISCONNECTED`).
    Returned {
        /// Back end.
        netdev: String,
    },
    /// The guest has changed which frames its NIC takes (`NIC_RX_FILTER_CHANGED`).
    RxFilterChanged {
        /// Back end.
        netdev: String,
        /// NIC.
        device: DeviceId,
    },
}

type Listener = Box<dyn Fn(&Message) + Send>;

/// Where [`Message`]s go; nowhere until [`Messages::on_message`]. Cheap to clone.
#[derive(Clone, Default)]
pub struct Messages(Arc<Mutex<Vec<Listener>>>);

impl Messages {
    /// Adds somebody who hears them.
    pub fn on_message(&self, listener: impl Fn(&Message) + Send + 'static) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Box::new(listener));
    }

    pub(crate) fn say(&self, message: &Message) {
        for l in self.0.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            l(message);
        }
    }
}
