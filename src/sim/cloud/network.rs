//! Networks, ports and trunks made by hand; it may not know what a server does with them.

use super::{Cloud, CloudError, missing};
use crate::sim::neutron::{self, TrunkSpec};
use crate::sim::seed;

impl Cloud {
    /// Makes a network with a subnet of its own name, or finds it.
    pub fn create_network(&self, project: &str, name: &str) -> Result<String, CloudError> {
        seed::create_network(&mut self.shared.world(), project, name)
    }

    /// Makes a port in a network with these security groups.
    pub fn create_port(
        &self,
        project: &str,
        network: &str,
        name: &str,
        groups: &[String],
    ) -> Result<String, CloudError> {
        let mut world = self.shared.world();
        let id = world.keystone.project_named(project);
        let id = id.map(|one| one.id.clone());
        let id = id.ok_or_else(|| missing("project", project))?;
        let sketch = neutron::PortSketch {
            name: name.to_owned(),
            network: network.to_owned(),
            security_groups: groups.to_vec(),
            ..neutron::PortSketch::default()
        };
        neutron::port_make(&mut world, &id, &sketch).map_err(|_| missing("network", network))
    }

    /// Makes a trunk on a port, as if it had been there before a server got the port.
    pub fn create_trunk(&self, port: &str, spec: &TrunkSpec) -> Result<String, CloudError> {
        let made = neutron::trunk_make(&mut self.shared.world(), port, spec);
        made.ok_or_else(|| missing("port", port))
    }

    /// Leaves out the extension of Neutron for trunks, or has it back.
    pub fn set_without_trunks(&self, without: bool) {
        self.shared.world().neutron.without_trunks = without;
    }

    /// Loads the extension of Neutron with which each new port tells whether it follows its uplink.
    pub fn load_uplink_status(&self) {
        self.shared.world().neutron.uplink_status = true;
    }
}
