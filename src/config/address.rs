//! Addresses to listen on.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// The port of the HTTP side where nothing names another.
const HTTP_PORT: u16 = 4000;

/// An address whose port may be left to `--port`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HttpAddr {
    ip: IpAddr,
    port: Option<u16>,
}

/// A text that is no address to listen on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddrError {
    /// Neither an address nor one with a port.
    #[error("expected an IP address, with or without a port, such as 127.0.0.1:4000 or 0.0.0.0")]
    Http,
    /// Not an address with a port.
    #[error("expected an IP address and a port, such as 127.0.0.1:8080 or [::1]:8080")]
    WithPort,
}

impl HttpAddr {
    /// Whether it has a port of its own.
    pub fn has_port(&self) -> bool {
        self.port.is_some()
    }

    /// With `port`, else its own, else the default one.
    pub fn with_port(&self, port: Option<u16>) -> SocketAddr {
        SocketAddr::new(self.ip, port.or(self.port).unwrap_or(HTTP_PORT))
    }
}

impl FromStr for HttpAddr {
    type Err = AddrError;

    fn from_str(text: &str) -> Result<Self, AddrError> {
        if let Ok(addr) = text.parse::<SocketAddr>() {
            return Ok(Self { ip: addr.ip(), port: Some(addr.port()) });
        }
        let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
        bare.parse().map(|ip| Self { ip, port: None }).map_err(|_| AddrError::Http)
    }
}

impl fmt::Display for HttpAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => SocketAddr::new(self.ip, port).fmt(f),
            None => self.ip.fmt(f),
        }
    }
}

/// An address to listen on, with its port.
///
/// # Errors
/// When `text` is none.
pub fn socket_addr(text: &str) -> Result<SocketAddr, AddrError> {
    text.parse().map_err(|_| AddrError::WithPort)
}

/// Where a server that listens on `addr` is reached from this machine.
pub(super) fn reached_at(addr: SocketAddr) -> SocketAddr {
    let ip = match addr.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, addr.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_leave_its_port_to_others() {
        let cases = [
            ("0.0.0.0:5000", None, "0.0.0.0:5000"),
            ("0.0.0.0:5000", Some(6000), "0.0.0.0:6000"),
            ("0.0.0.0", None, "0.0.0.0:4000"),
            ("0.0.0.0", Some(6000), "0.0.0.0:6000"),
            ("::1", None, "[::1]:4000"),
            ("[::1]", Some(0), "[::1]:0"),
            ("[::1]:7", None, "[::1]:7"),
        ];
        for (text, port, expected) in cases {
            let addr: HttpAddr = text.parse().unwrap();
            assert_eq!(addr.with_port(port), expected.parse().unwrap(), "{text} {port:?}");
        }
        for bad in ["", "localhost", "localhost:4000", ":4000", "4000", "1.2.3.4:99999", "[::1]x"] {
            assert_eq!(bad.parse::<HttpAddr>(), Err(AddrError::Http), "{bad}");
        }
        for bad in ["", "localhost:1", "1.2.3.4", "::1"] {
            assert_eq!(socket_addr(bad), Err(AddrError::WithPort), "{bad}");
        }
    }

    #[test]
    fn a_server_on_every_address_is_reached_on_loopback() {
        for (listens, reached) in
            [("0.0.0.0:1", "127.0.0.1:1"), ("[::]:1", "[::1]:1"), ("10.1.2.3:1", "10.1.2.3:1")]
        {
            assert_eq!(reached_at(listens.parse().unwrap()), reached.parse().unwrap());
        }
    }
}
