"""One OpenStack as its tenant and its admin see it: calls, waits, lists, quotas."""

import openstack

from claims import wait

# Everything that can be left behind: kind, service, path, key, query that shows all projects.
KINDS = (
    ('server', 'compute', '/servers/detail', 'servers', 'all_tenants=1&limit=1000'),
    ('transfer', 'volume', '/volume-transfers', 'transfers', 'all_tenants=1'),
    ('volume', 'volume', '/volumes/detail', 'volumes', 'all_tenants=1&limit=1000'),
    ('snapshot', 'volume', '/snapshots/detail', 'snapshots', 'all_tenants=1&limit=1000'),
    ('backup', 'volume', '/backups/detail', 'backups', 'all_tenants=1&limit=1000'),
    ('port', 'network', '/ports', 'ports', ''),
    ('security group', 'network', '/security-groups', 'security_groups', ''),
    ('subnet', 'network', '/subnets', 'subnets', ''),
    ('network', 'network', '/networks', 'networks', ''),
    ('image', 'image', '/v2/images', 'images', 'limit=1000'),
)
ONE = {
    'server': ('compute', '/servers/', 'server'),
    'transfer': ('volume', '/volume-transfers/', 'transfer'),
    'volume': ('volume', '/volumes/', 'volume'),
    'snapshot': ('volume', '/snapshots/', 'snapshot'),
    'backup': ('volume', '/backups/', 'backup'),
    'port': ('network', '/ports/', 'port'),
    'security group': ('network', '/security-groups/', 'security_group'),
    'subnet': ('network', '/subnets/', 'subnet'),
    'network': ('network', '/networks/', 'network'),
    'image': ('image', '/v2/images/', None),
    'key pair': ('compute', '/os-keypairs/', 'keypair'),
}
NOVA = '2.79'
CINDER = '3.60'
QUOTAS = (
    ('volume', '/os-quota-sets/', 'quota_set', {
        'volumes': 200, 'snapshots': 200, 'backups': 200, 'gigabytes': 2000, 'backup_gigabytes': 2000}),
    ('compute', '/os-quota-sets/', 'quota_set', {'instances': 50, 'cores': 100, 'ram': 200000}),
    ('network', '/quotas/', 'quota', {'security_group': 100, 'security_group_rule': 1000}),
)


class Refused(Exception):
    """An answer that was not wanted."""

    def __init__(self, method, path, answer):
        super().__init__('%s %s: %d %s' % (method, path, answer.status_code, answer.text[:300]))
        self.status = answer.status_code


class View:
    """What one entry of clouds.yaml can do."""

    def __init__(self, entry, project=None):
        more = {'project_id': project, 'project_name': None} if project else {}
        self.sdk = openstack.connect(cloud=entry, api_timeout=60, **more)
        self.entry = entry

    def call(self, service, method, path, body=None, version=None, allow=(), headers=None):
        """The JSON of the answer; an empty one is None. A status in `allow` is no failure."""
        adapter = {'compute': self.sdk.compute, 'volume': self.sdk.block_storage,
                   'network': self.sdk.network, 'image': self.sdk.image,
                   'identity': self.sdk.identity}[service]
        version = version or {'compute': NOVA, 'volume': CINDER}.get(service)
        if service == 'image' and path.startswith('/v2/'):
            path = path[len('/v2'):]
        answer = adapter.request(path, method, json=body, microversion=version, raise_exc=False,
                                 connect_retries=1, headers=headers or {})
        if answer.status_code >= 400 and answer.status_code not in allow:
            raise Refused(method, path, answer)
        if answer.status_code >= 400 or not answer.content:
            return None
        return answer.json()

    def list(self, kind, narrow=''):
        """All things of a kind; `narrow` in place of the query that shows all projects."""
        _, service, path, key, query = next(one for one in KINDS if one[0] == kind)
        query = narrow or query
        return self.call(service, 'GET', path + ('?' + query if query else ''))[key]

    def get(self, kind, identifier):
        """One thing, or None when it is not there."""
        service, path, key = ONE[kind]
        answer = self.call(service, 'GET', path + identifier, allow=(404,))
        return answer[key] if answer and key else answer

    def delete(self, kind, identifier):
        """Asks for the deletion of a thing; one that is gone is fine."""
        service, path, _ = ONE[kind]
        self.call(service, 'DELETE', path + identifier, allow=(404,))

    def until(self, kind, identifier, *wanted, seconds=180):
        """Waits for one of these statuses."""
        def probe():
            thing = self.get(kind, identifier)
            if thing is None:
                raise LookupError('%s %s is gone' % (kind, identifier))
            status = thing['status']
            if status.lower() in wanted:
                return thing
            if 'error' in status.lower() or status == 'killed':
                raise RuntimeError('%s %s is %s: %s' % (
                    kind, identifier, status, thing.get('fail_reason') or thing.get('fault')))
            return None
        return wait('%s %s %s' % (kind, identifier, ' or '.join(wanted)), probe, seconds)

    def until_gone(self, kind, identifier, seconds=180):
        """Waits for the end of a thing."""
        wait('end of %s %s' % (kind, identifier), lambda: self.get(kind, identifier) is None, seconds)


class Site:
    """One cloud of the journey."""

    def __init__(self, name, entry, admin_entry, state=None):
        self.name = name
        self.entry = entry
        self.admin_entry = admin_entry
        # Where the files of its volumes are, when they can be reached at all.
        self.state = state
        self.tenant = View(entry)
        self.admin = View(admin_entry) if admin_entry else None
        self.project = self.tenant.sdk.current_project_id
        self.user = self.tenant.sdk.current_user_id
        self._quotas = []

    @property
    def eyes(self):
        """Whoever sees most."""
        return self.admin or self.tenant

    def listing(self):
        """Everything that is there, of all projects if an admin looks."""
        found = {}
        for kind, *_ in KINDS:
            narrow = '' if self.admin else 'limit=1000' if kind in (
                'server', 'volume', 'snapshot', 'backup') else ''
            for thing in self.eyes.list(kind, narrow):
                found[kind, thing['id']] = thing
        pairs = self.tenant.call('compute', 'GET', '/os-keypairs')['keypairs']
        found.update({('key pair', one['keypair']['name']): one['keypair'] for one in pairs})
        return found

    def raise_quotas(self):
        """Room for the journey; `put_back_quotas` undoes it."""
        for service, path, key, wanted in QUOTAS:
            before = self.admin.call(service, 'GET', path + self.project)[key]
            more = {name: most for name, most in wanted.items() if 0 <= before.get(name, -1) < most}
            if more:
                self._quotas.append((service, path, key, {name: before[name] for name in more}))
                self.admin.call(service, 'PUT', path + self.project, {key: more})

    def make_project(self, name):
        """Another project in which the tenant's user may do the same; its id."""
        call = self.admin.call
        domain = call('identity', 'GET', '/projects/' + self.project)['project']['domain_id']
        made = call('identity', 'POST', '/projects', {'project': {'name': name, 'domain_id': domain}})['project']['id']
        roles = call('identity', 'GET', '/role_assignments?user.id=%s&scope.project.id=%s' % (
            self.user, self.project))['role_assignments']
        for role in roles:
            call('identity', 'PUT', '/projects/%s/users/%s/roles/%s' % (made, self.user, role['role']['id']))
        return made

    def put_back_quotas(self):
        """The limits as they were."""
        for service, path, key, before in self._quotas:
            self.admin.call(service, 'PUT', path + self.project, {key: before})
        self._quotas = []


def describe(key, thing):
    """A thing for a line of output."""
    kind, identifier = key
    owner = thing.get('project_id') or thing.get('tenant_id') or thing.get(
        'os-vol-tenant-attr:tenant_id') or thing.get('os-backup-project-attr:project_id') or ''
    return '%s %s `%s` %s%s' % (kind, identifier, (thing.get('name') or '')[:60],
                                thing.get('status') or '', ' of ' + owner if owner else '')


def strange(before, after):
    """What is there now and was not before, as lines."""
    return sorted(describe(key, thing) for key, thing in after.items() if key not in before)
