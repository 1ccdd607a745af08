"""Bytes of volumes, through the files behind them."""

import hashlib
import os

BLOCK = 64 * 1024
MIB = 1024 ** 2
NOTHING = bytes(BLOCK)


def path_of(site, volume):
    """The file behind a volume of a cloud whose files can be reached."""
    return os.path.join(site.state, 'volumes', 'volume-' + volume)


def scribble(path, *places):
    """Writes random bytes: (offset, size) each; a negative offset counts from the end."""
    with open(path, 'r+b') as stream:
        end = os.fstat(stream.fileno()).st_size
        for offset, size in places:
            stream.seek(offset if offset >= 0 else end + offset)
            stream.write(os.urandom(size))
        stream.flush()
        os.fsync(stream.fileno())


def digest(path):
    """Size and hash of the content; holes and zeros are the same thing."""
    total = hashlib.sha256()
    with open(path, 'rb') as stream:
        end = os.fstat(stream.fileno()).st_size
        position = 0
        while position < end:
            try:
                position = os.lseek(stream.fileno(), position, os.SEEK_DATA)
            except OSError:  # nothing but a hole is left
                break
            hole = os.lseek(stream.fileno(), position, os.SEEK_HOLE)
            position -= position % BLOCK
            stream.seek(position)
            while position < hole:
                block = stream.read(BLOCK)
                if block and block != NOTHING[:len(block)]:
                    total.update(b'%d:' % position)
                    total.update(block)
                position += BLOCK
    return '%d bytes, %s' % (end, total.hexdigest()[:24])
