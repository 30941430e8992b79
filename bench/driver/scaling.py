# SPDX-License-Identifier: GPL-2.0-or-later
"""How ring3 grows."""


def run(*_):
    return 0
