"""One instance about whose points something is claimed: its bytes, new ones, and those of a restoration."""

import os
import threading

import portrait
from content import MIB, digest, path_of, scribble


class Subject:
    """Claims about one instance, counted as they are made."""

    def __init__(self, service, source, dr, instance):
        self.service = service
        self.source = source
        self.dr = dr
        self.instance = instance
        self.failed = 0
        self._lock = threading.Lock()

    def claim(self, text, truth):
        """One claim."""
        with self._lock:
            print('%-7s %s' % ('ok' if truth else 'FAILED', text), flush=True)
            self.failed += not truth

    def digests(self):
        """The bytes of the instance as they are now."""
        return [digest(path_of(self.source, one)) for one in self.instance.volumes]

    def write(self, at):
        """New bytes in every volume, and zeros where there were bytes."""
        for volume in self.instance.volumes:
            path = path_of(self.source, volume)
            scribble(path, (at * MIB, 2 * MIB))
            with open(path, 'r+b') as stream:
                stream.seek(52 * MIB)
                stream.write(bytes(MIB))
                stream.flush()
                os.fsync(stream.fileno())

    def restored(self, *arguments, site):
        """The bytes of what a restoration made, which is deleted after."""
        return self.bytes_of(self.service.ask('restoration', 'create', *arguments, seconds=600), site)

    def bytes_of(self, restoration, site):
        """The bytes of what it made, which is deleted after."""
        looks = portrait.take(site, restoration['instance']['serverId'])
        bytes_there = [digest(path_of(site, one)) for one in looks['volume ids']]
        self.service.ask('restoration', 'delete', restoration['id'], '--instance', seconds=300)
        return bytes_there
