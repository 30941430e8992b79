# SPDX-License-Identifier: GPL-2.0-or-later
# Words, regular expressions, sorting, closures: work.pl FILE LINES
use strict;
my ($file, $lines) = @ARGV;
my (%count, %after);
my ($last, $vowels, $swaps) = ('', 0, 0);
open(my $in, '<', $file) or die "$file: $!";
while (<$in>) {
    last if $. > $lines;
    $vowels += tr/aeiou//;
    $swaps++ while s/\b(\w)(\w+)(\w)\b/$3-$2-$1/;
    for my $word (split) {
        $count{$word}++;
        $after{$last}{$word}++;
        $last = $word;
    }
}
my @by_count = sort { $count{$b} <=> $count{$a} or $a cmp $b } keys %count;
my $fib;
$fib = sub { my $n = shift; $n < 2 ? $n : $fib->($n - 1) + $fib->($n - 2) };
print join(' ', scalar(keys %after), $vowels, $swaps, @by_count[0 .. 9], $fib->(15)), "\n";
