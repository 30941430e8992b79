-- SPDX-License-Identifier: GPL-2.0-or-later
-- Tables, closures, strings, floating point: work.lua ROUNDS
local function sieve(n)
    local composite, count = {}, 0
    for i = 2, n do
        if not composite[i] then
            count = count + 1
            for k = i * i, n, i do composite[k] = true end
        end
    end
    return count
end

local function fib(n) return n < 2 and n or fib(n - 1) + fib(n - 2) end

local function strings(n)
    local parts = {}
    for i = 1, n do parts[#parts + 1] = ("%d:%s"):format(i, ("abc"):rep(i % 4)) end
    local text = table.concat(parts, ",")
    local count = 0
    for _ in text:gmatch("%d+:abc,") do count = count + 1 end
    return #text, count
end

local function mandel(n)
    local inside = 0
    for y = 1, n do
        for x = 1, n do
            local cr, ci, zr, zi, k = 3 * x / n - 2, 2 * y / n - 1, 0, 0, 0
            while k < 50 and zr * zr + zi * zi < 4 do
                zr, zi, k = zr * zr - zi * zi + cr, 2 * zr * zi + ci, k + 1
            end
            if k == 50 then inside = inside + 1 end
        end
    end
    return inside
end

for _ = 1, tonumber(arg[1]) do
    print(sieve(40000), fib(20), strings(5000), mandel(40))
end
