//! A small Redis Cluster.

use crate::process::wait_until;
use crate::redis::{RedisServer, ask};

const SLOTS: usize = 16_384;

/// A Redis Cluster of primaries without replicas, with all slots served.
#[derive(Debug)]
pub struct RedisCluster {
    nodes: Vec<RedisServer>,
    url: String,
}

impl RedisCluster {
    /// Starts `count` primaries, gives each its share of the slots, and waits until all agree; about two seconds.
    pub fn start(count: usize) -> Self {
        let nodes: Vec<RedisServer> = (0..count).map(|_| RedisServer::start_clustered()).collect();
        for (index, node) in nodes.iter().enumerate() {
            let slots: Vec<String> = (index * SLOTS / count..(index + 1) * SLOTS / count)
                .map(|slot| slot.to_string())
                .collect();
            let mut words = vec!["CLUSTER", "ADDSLOTS"];
            words.extend(slots.iter().map(String::as_str));
            node.command::<String>(&words);
        }
        for node in nodes.iter().skip(1) {
            let address = node.address();
            let (host, port) = address.split_once(':').expect("an address has a port");
            nodes[0].command::<String>(&["CLUSTER", "MEET", host, port]);
        }
        for node in &nodes {
            wait_until("every node of the cluster knows all slots", || {
                let info: String =
                    ask(node.url(), &["CLUSTER", "INFO"]).map_err(|failure| failure.to_string())?;
                let is_complete = info.contains("cluster_state:ok")
                    && info.contains(&format!("cluster_known_nodes:{count}"));
                is_complete.then_some(()).ok_or(info)
            });
        }
        let addresses: Vec<String> = nodes.iter().map(RedisServer::address).collect();
        let url = format!("redis+cluster://{}", addresses.join(","));
        Self { nodes, url }
    }

    /// A cluster that runs already and is not ours to stop.
    pub(crate) fn at(url: String) -> Self {
        Self {
            nodes: Vec::new(),
            url,
        }
    }

    /// The cluster's URL with all nodes, `redis+cluster://127.0.0.1:10001,127.0.0.1:10002`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The nodes, to stop or freeze one. Empty for a cluster that is not ours.
    pub fn nodes(&mut self) -> &mut [RedisServer] {
        &mut self.nodes
    }
}
