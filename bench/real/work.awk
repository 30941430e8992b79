# SPDX-License-Identifier: GPL-2.0-or-later
# Counts words and numbers of the generated text.
{
    for (i = 1; i <= NF; i++) {
        count[$i]++
        if ($i ~ /^[0-9]+$/)
            sum += $i
        else if ($i ~ /e.*o/)
            matches++
        total += length($i)
    }
}
END {
    for (w in count)
        if (count[w] > best || (count[w] == best && w < word)) {
            best = count[w]
            word = w
        }
    print NR, total, sum, matches, word, best
}
