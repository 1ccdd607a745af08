"""Takes away what a journey made, and nothing else, also after a failure."""

import json
import time

from cloud import describe
from claims import say

ORDER = ('server', 'backup', 'snapshot', 'transfer', 'volume', 'port', 'security group', 'subnet', 'network',
         'image', 'key pair')
# The service names what it makes so until it is finished.
OURS = ('drb-',)
BUSY = ('creating', 'backing-up', 'restoring', 'restoring-backup', 'deleting', 'detaching', 'attaching')


def is_ours(kind, thing, mark, known, ids):
    """Whether a new thing is one of the journey's."""
    name = thing.get('name') or ''
    if mark in json.dumps(thing, ensure_ascii=False) or name.startswith(OURS):
        return True
    if thing.get('id') in known:
        return True
    owners = {'port': ('network_id', 'device_id'), 'snapshot': ('volume_id',), 'backup': ('volume_id',),
              'volume': ('source_volid',)}.get(kind, ())
    return any(thing.get(owner) in ids for owner in owners)


def ours(site, before, mark, known=()):
    """The things of the journey that are there now."""
    now = {key: thing for key, thing in site.listing().items() if key not in before}
    found, ids = {}, set()
    for _ in range(3):  # what hangs on what was found
        for key, thing in now.items():
            if key not in found and is_ours(key[0], thing, mark, known, ids):
                found[key] = thing
                ids.add(key[1])
                if key[0] == 'server':
                    ids.update(one['id'] for one in thing.get('os-extended-volumes:volumes_attached', ()))
        for key, thing in now.items():
            if key[0] == 'volume' and key[1] in ids:
                found[key] = thing
    return found


def sweep(site, before, mark, known=(), seconds=240):
    """Deletes them, kind by kind; answers with what would not go."""
    limit = time.monotonic() + seconds
    reset_at = time.monotonic() + seconds / 2
    troubles = {}
    while True:
        found = ours(site, before, mark, known)
        if not found or time.monotonic() > limit:
            break
        kinds = [kind for kind in ORDER if any(key[0] == kind for key in found)]
        # Servers first and alone: volumes and ports are held by them.
        for kind in kinds[:1] if kinds[0] == 'server' else kinds:
            for key, thing in found.items():
                if key[0] != kind:
                    continue
                try:
                    _delete(site, key, thing, time.monotonic() > reset_at)
                    troubles.pop(key, None)
                except Exception as error:  # the next round tries again
                    troubles[key] = str(error)
        time.sleep(1)
    for key, thing in found.items():
        say('left in %s: %s %s' % (site.name, describe(key, thing), troubles.get(key, '')))
    return found


def _delete(site, key, thing, force):
    kind, identifier = key
    status = thing.get('status', '')
    if status in BUSY:
        if not force or not site.admin or kind not in ('volume', 'snapshot', 'backup'):
            return
        site.admin.call('volume', 'POST', '/%ss/%s/action' % (kind, identifier),
                        {'os-reset_status': {'status': 'error'}})
    view = site.tenant if kind == 'key pair' else site.eyes
    view.delete(kind, identifier)
