"""
The free pages of a file, and giving them back.
"""

from typing import Any

# What one step of giving space back moves at first and at most.
FIRST_SHRINK_PAGES = 32
SHRINK_PAGES = 512

_INCREMENTAL = 2


def free_pages(driver: Any) -> int:
    """
    Return how many pages could be given back; 0 for files made before there
    was a way to.
    """
    (mode,) = driver.execute("PRAGMA auto_vacuum").fetchone()
    (free,) = driver.execute("PRAGMA freelist_count").fetchone()
    return int(free) if mode == _INCREMENTAL else 0


def is_mostly_free(driver: Any) -> bool:
    """
    Tell whether so many pages are free that it is worth while.
    """
    # Pages that commits free are what the next ones need: worth giving back
    # only where they are more than a session in use turns over.
    (pages,) = driver.execute("PRAGMA page_count").fetchone()
    return free_pages(driver) > max(SHRINK_PAGES, int(pages) // 2)


def free_some(driver: Any, pages: int) -> None:
    """
    Give so many pages back at most.
    """
    # One by one: sqlite3 of Python takes the first step of this pragma only,
    # which frees a page, however many are asked for.
    for _ in range(min(pages, free_pages(driver))):
        driver.execute("PRAGMA incremental_vacuum(1)")
