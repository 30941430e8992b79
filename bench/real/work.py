# SPDX-License-Identifier: GPL-2.0-or-later
"""Objects, dictionaries, strings, integers of any size: work.py ROUNDS"""
import sys


class Vector:
    def __init__(self, x, y):
        self.x, self.y = x, y

    def __add__(self, other):
        return Vector(self.x + other.x, self.y + other.y)

    def turned(self):
        return Vector(-self.y, self.x)


def objects(n):
    v = Vector(1, 2)
    for i in range(n):
        v = (v + Vector(i, i & 7)).turned()
    return v.x, v.y


def words(n):
    count = {}
    for i in range(n):
        word = "w%d" % (i * 7919 % 1009)
        count[word] = count.get(word, 0) + len(word)
    return sum(value * (i + 1) for i, (_, value) in enumerate(sorted(count.items())))


def queens(n, row=0, columns=0, left=0, right=0):
    if row == n:
        return 1
    found = 0
    for column in range(n):
        c, l, r = 1 << column, 1 << row + column, 1 << n + row - column
        if not (columns & c or left & l or right & r):
            found += queens(n, row + 1, columns | c, left | l, right | r)
    return found


def numbers(n):
    a, b = 1, 1
    for _ in range(n):
        a, b = b, a * 3 + b
    return a % 1000000007


for _ in range(int(sys.argv[1])):
    print(objects(20000), words(20000), queens(6), numbers(1500))
