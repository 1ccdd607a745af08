"""What claims beside the journey stand on: the pair, a fleet to build in its source, networks on both sides
and a service that is not started; everything is as before when they end."""

import contextlib
import dataclasses
import os
import tempfile

import fleet
from cloud import Site
from lab import Lab
from service import Service
from sweep import sweep


@dataclasses.dataclass
class Ground:
    """The pair of the laboratory, and who works on it."""

    lab: Lab
    sites: list
    fleet: fleet.Fleet
    service: Service


@contextlib.contextmanager
def ground(given):
    """Room for claims."""
    state = os.environ.get('OPENSTACK_LAB', '/var/tmp/openstack-lab')
    lab = Lab(given.lab_scripts, state)
    sites = [Site('source', given.source, given.source_admin, os.path.join(state, 'source')),
             Site('dr', given.dr, given.dr_admin, os.path.join(state, 'dr'))]
    built = fleet.Fleet(sites[0], fleet.new_mark())
    before = {site.name: site.listing() for site in sites}
    with tempfile.TemporaryDirectory(prefix='drbackup-real-') as directory:
        service = Service(given.binary, directory, given.clouds_file, sites)
        try:
            for site in sites:
                site.raise_quotas()
            built.networks['net'] = fleet.make_network(built.view, built.mark + '-net', '10.77.0.0/24')
            fleet.make_network(sites[1].tenant, built.mark + '-net', '10.77.0.0/24')
            yield Ground(lab, sites, built, service)
        finally:
            service.stop()
            lab.make_well()
            for site in sites:
                sweep(site, before[site.name], built.mark)
                site.put_back_quotas()
