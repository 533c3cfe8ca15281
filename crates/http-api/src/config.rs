//! Where to listen, and who may ask.

use std::net::IpAddr;

use super::Page;

/// Where to listen.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// Address of the API's port.
    pub address: IpAddr,
    /// Address of the metrics' port; that of the API's if `None`.
    pub metrics_address: Option<IpAddr>,
    /// Port of the API; 0 picks a free one.
    pub api_port: u16,
    /// Port of the metrics; 0 picks a free one. The API's port has them too, and if this is the same one, alone.
    pub metrics_port: Option<u16>,
    /// Whether admin routes are served; only on the loopback address if `None`.
    pub admin: Option<bool>,
    /// Names of this machine that a request's `Host` may have, besides `localhost` and addresses.
    pub allowed_hosts: Vec<String>,
    /// Origins whose pages may read answers, `*` for all; those that are named may ask for changes, too.
    pub allowed_origins: Vec<String>,
    /// Pages for people that the API's port serves, too.
    pub pages: Vec<Page>,
}

impl ServerConfig {
    /// Both ports on one address, and nothing allowed beyond what that brings.
    #[must_use]
    pub const fn new(address: IpAddr, api_port: u16, metrics_port: Option<u16>) -> Self {
        Self {
            address,
            metrics_address: None,
            api_port,
            metrics_port,
            admin: None,
            allowed_hosts: Vec::new(),
            allowed_origins: Vec::new(),
            pages: Vec::new(),
        }
    }
}
