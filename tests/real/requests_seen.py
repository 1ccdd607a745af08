"""What the services of the laboratory wrote into their logs about the requests of one user."""

import os
import re

LOGS = ('cinder-api', 'nova-api', 'neutron-server', 'glance-api')
ID = re.compile(r'[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}')
REQUEST = re.compile(r'"?(GET|POST|PUT|PATCH|DELETE|HEAD) (?:http://[^/ ]+)?(/[^ ?"\x1b\n]*)')

# The id that a request came with, where it came with one. Each of ours has its own; Nova passes it on when it asks
# Neutron about the ports of a server that is shown, with the token of whoever is shown it.
CAME_WITH = re.compile(r'\[(req-[0-9a-f-]+) req-')


class Requests:
    """The requests since now."""

    def __init__(self, site, user):
        self.site = site
        self.user = user
        self.begin = {name: self._size(name) for name in LOGS}

    def _path(self, name):
        return os.path.join(self.site.state, 'log', name + '.log')

    def _size(self, name):
        try:
            return os.path.getsize(self._path(name))
        except FileNotFoundError:
            return 0

    def _lines(self, name):
        """What a service has logged about the user since."""
        if not os.path.exists(self._path(name)):
            return []
        with open(self._path(name), errors='replace') as log:
            log.seek(self.begin[name])
            return [line for line in log if self.user in line and REQUEST.search(line)]

    def seen(self):
        """Service, method and path without version, project and ids, each once."""
        lines = {name: self._lines(name) for name in LOGS}
        came = {name: [CAME_WITH.search(line) for line in lines[name]] for name in LOGS}
        through_nova = {one.group(1) for one in came['nova-api'] if one}
        found = set()
        for name in LOGS:
            for line, one in zip(lines[name], came[name]):
                if name == 'nova-api' or not one or one.group(1) not in through_nova:
                    method, path = REQUEST.search(line).groups()
                    found.add((name, method, _template(path)))
        return found


def _template(path):
    path = re.sub(r'^/(v\d(\.\d+)?)(/%s)?(?=/|$)' % ID.pattern, '', path)
    path = ID.sub('ID', path)
    return re.sub(r'^/os-keypairs/.+$', '/os-keypairs/NAME', path) or '/'
