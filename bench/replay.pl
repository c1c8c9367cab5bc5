#!/usr/bin/perl
# ForceCommand of an sshd: notes what a host answers to each command, or answers so again.
#
#     replay record DIRECTORY
#     replay answer DIRECTORY
#
# What is new in each question (a nonce, the mark of a snapshot) stands in its answer again, and a
# time of now is moved to now. The same question again has the answer that came next, one by one for
# each port of the host: tools that send one command for everything differ in its input.
use strict;
use warnings;
use Fcntl ':flock';

my ($mode, $place) = @ARGV;
my $command = $ENV{SSH_ORIGINAL_COMMAND} // '';
my $port = (split ' ', $ENV{SSH_CONNECTION} // '0 0 0 0')[3];
# A command that does not read its input may have none that ends.
my $given = $command =~ /\$\(cat\)|python3/ ? do { local $/; <STDIN> } // '' : '';

my (@words, %place);
sub normal {
    my ($text) = @_;
    $text =~ s/ --limit h[0-9]+//g;    # a command that is told to people names the host among others
    $text =~ s/(\b036|\b)([0-9a-f]{16})\b/$1 . "<" . ($place{$2} \/\/= push(@words, $2) - 1) . ">"/ge;
    return $text;
}
my $asked = normal($command =~ /\$\(cat\)/ ? "$command\n$given" : $command);
my $question = sprintf '%s/%d-%d', $place, length $asked, unpack '%32C*', $asked;

if ($mode eq 'record') {
    open my $lock, '>', "$place/recording" or die $!;
    flock $lock, LOCK_EX or die $!;    # another name of the host is asked at the same time
    my $stem = sprintf '%s.%04d', $question, scalar(my @before = glob "$question.*.given");
    write_to("$stem.given", $given);
    my ($begun, $input) = (time, $given eq '' ? '' : "<$stem.given");
    my $status = system 'sh', '-c', "{ \"\$SHELL\" -c \"\$SSH_ORIGINAL_COMMAND\" $input; } >$stem.out 2>$stem.err";
    for my $kind ('out', 'err') {
        my $said = read_from("$stem.$kind");
        print { $kind eq 'out' ? *STDOUT : *STDERR } $said;
        for my $number (0 .. $#words) { $said =~ s/\Q$words[$number]\E/<\036$number>/g }
        # What was read off a clock while it ran.
        $said =~ s/\b(1[0-9]{9})\b/abs($1 - $begun) < 120 ? "<\036t" . ($1 - $begun) . '>' : $1/ge;
        write_to("$stem.$kind", $said);
    }
    write_to("$stem.status", $status >> 8);
    exit $status >> 8;
}

open my $count, '>>', "$place/commands-$port" or die $!;
syswrite $count, sprintf("%s\n", $question =~ s{.*/}{}r);
my @answers = sort glob "$question.*.status";
my $answer = $answers[0] or do { print STDERR "replay: never asked before: $command\n"; exit 96 };
if (@answers > 1) {
    open my $again, '>>', "$question-$port" or die $!;
    $answer = $answers[(-s $again) % @answers];
    syswrite $again, '.';
}
$answer =~ s/\.status$//;
for my $kind ('out', 'err') {
    my $said = read_from("$answer.$kind");
    my $now = time;
    $said =~ s/<\036([0-9]+)>/$words[$1]/g;
    $said =~ s/<\036t(-?[0-9]+)>/$now + $1/ge;
    print { $kind eq 'out' ? *STDOUT : *STDERR } $said;
}
exit read_from("$answer.status");

sub read_from {
    open my $file, '<', $_[0] or die "$_[0]: $!";
    local $/;
    return <$file> // '';
}

sub write_to {
    open my $file, '>', $_[0] or die "$_[0]: $!";
    print $file $_[1];
    close $file or die $!;
}
