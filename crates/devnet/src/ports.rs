//! Ports of the loopback address, held until the nodes take them.

use std::{
    io,
    net::{Ipv4Addr, TcpListener, UdpSocket},
};

use lamella_network_dir::{NetworkDir, ValidatorConfig, genesis::NodePorts};

use super::DevnetError;

/// A node's name and ports. While the sockets are here nobody else gets the ports.
#[derive(Debug)]
pub struct Place {
    /// The node.
    pub node_id: String,
    /// Its ports.
    pub ports: NodePorts,
    held: Option<(UdpSocket, TcpListener)>,
}

/// Where every node of a network listens.
#[derive(Debug)]
pub struct Ports(pub Vec<Place>);

impl Ports {
    /// The ports that `lamella genesis` gives, and free ones instead of those in use.
    ///
    /// # Errors
    /// The system has no free port.
    pub fn free(nodes: u64) -> Result<Self, DevnetError> {
        let places = (0..).zip(0..nodes).map(|(number, _)| {
            let usual = NodePorts::of(number);
            let udp = udp(usual.quic).or_else(|_| udp(0));
            let tcp = || tcp(usual.api).or_else(|_| tcp(0));
            Place::holding(number, udp.and_then(|udp| Ok((udp, tcp()?))))
        });
        places.collect::<Result<_, _>>().map(Self)
    }

    /// The first ports from this one on that are free for UDP and TCP alike.
    ///
    /// # Errors
    /// There are none.
    pub fn free_from(first: u16, nodes: u64) -> Result<Self, DevnetError> {
        let mut pairs = (first..=u16::MAX).map(|port| Ok((udp(port)?, tcp(port)?)));
        let mut pair = || pairs.find(io::Result::is_ok);
        let none = || Err(io::ErrorKind::AddrInUse.into());
        let places = (0..).zip(0..nodes);
        let places = places.map(|(number, _)| Place::holding(number, pair().unwrap_or_else(none)));
        places.collect::<Result<_, _>>().map(Self)
    }

    /// The ports that a network's files name, if they can be had.
    pub(super) fn listed(
        paths: &NetworkDir,
        config: &ValidatorConfig,
    ) -> Result<Self, DevnetError> {
        let places = config.nodes.iter().map(|node| {
            let node_id = node.name.clone();
            let (Some(quic), Some(api)) = (node.enr_fields.quic, node.api_port) else {
                return Err(DevnetError::NoPorts { path: paths.validator_config.clone(), node_id });
            };
            let taken = |protocol, port, source| DevnetError::PortTaken {
                node_id: node.name.clone(),
                protocol,
                port,
                source,
            };
            let udp = udp(quic).map_err(|source| taken("UDP", quic, source))?;
            let tcp = tcp(api).map_err(|source| taken("TCP", api, source))?;
            let ports = NodePorts { quic, api, metrics: api };
            Ok(Place { node_id, ports, held: Some((udp, tcp)) })
        });
        places.collect::<Result<_, _>>().map(Self)
    }

    /// Flags with which each node serves pages that show all of them.
    pub(super) fn page_flags(&self) -> Vec<String> {
        let named = self.0.iter().flat_map(|place| {
            let Place { node_id, ports, .. } = place;
            let node = format!("{node_id}={}", origin(ports.api));
            ["--explorer-node".to_owned(), node]
        });
        std::iter::once("--explorer".to_owned()).chain(named).collect()
    }

    /// Where the page of all nodes is; empty without a node.
    pub(super) fn pages(&self) -> String {
        let page =
            |place: &Place| format!("{}{}", origin(place.ports.api), lamella_explorer::NETWORK);
        self.0.first().map(page).unwrap_or_default()
    }

    /// The ports alone, as [`lamella_network_dir::genesis`] takes them.
    #[must_use]
    pub fn numbers(&self) -> Vec<NodePorts> {
        self.0.iter().map(|place| place.ports).collect()
    }
}

impl Place {
    fn holding(
        number: u16,
        held: io::Result<(UdpSocket, TcpListener)>,
    ) -> Result<Self, DevnetError> {
        let node_id = format!("lamella_{number}");
        let place = held.and_then(|(udp, tcp)| {
            let (quic, api) = (udp.local_addr()?.port(), tcp.local_addr()?.port());
            let ports = NodePorts { quic, api, metrics: api };
            Ok(Self { node_id: node_id.clone(), ports, held: Some((udp, tcp)) })
        });
        place.map_err(|source| DevnetError::Process { node_id, source })
    }

    /// Lets go of the ports, for the node that is started next.
    pub fn release(&mut self) {
        self.held = None;
    }
}

fn origin(port: u16) -> String {
    format!("http://{}:{port}", Ipv4Addr::LOCALHOST)
}

fn udp(port: u16) -> io::Result<UdpSocket> {
    UdpSocket::bind((Ipv4Addr::LOCALHOST, port))
}

fn tcp(port: u16) -> io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_is_replaced_by_a_free_one() {
        // Whoever has the usual port, we or somebody else, it is taken now.
        let _taken = udp(NodePorts::of(0).quic);
        let ports = Ports::free(2).unwrap();
        assert_ne!(ports.0[0].ports.quic, NodePorts::of(0).quic);
        for place in &ports.0 {
            assert!(udp(place.ports.quic).is_err() && tcp(place.ports.api).is_err());
        }
    }
}
