# TCP connections from another network namespace, all at once, and what became of each: open, refused, silent.
# `listen NAMESPACE ADDRESS...` opens a port on each of these addresses of the host, for comparison, and goes to look from
# NAMESPACE. What to look at comes on standard input, a line each: LABEL ADDRESS PORT.
use strict;
use warnings;
use Errno qw(EINPROGRESS);
use Fcntl qw(F_GETFL F_SETFL O_NONBLOCK);
use Socket qw(:DEFAULT inet_pton pack_sockaddr_in6 unpack_sockaddr_in6 AF_INET6);

sub family { return $_[0] =~ /:/ ? AF_INET6 : AF_INET }

sub name {
  my ($full, $port) = @_;
  my ($address, $zone) = split /%/, $full;
  my $packed = inet_pton(family($address), $address) or return;
  return family($address) == AF_INET
    ? pack_sockaddr_in($port, $packed)
    : pack_sockaddr_in6($port, $packed, $zone || 0);
}

my ($role, @given) = @ARGV;
if ($role eq "listen") {
  my ($namespace, @addresses) = @given;
  $^F = 1000;    # listeners outlive exec, and stay where they are
  my (@open, @controls);
  for my $address (@addresses) {
    socket(my $listener, family($address), SOCK_STREAM, 0) or next;
    bind($listener, name($address, 0)) && listen($listener, 5) or next;
    my $bound = getsockname $listener;
    my ($port) = family($address) == AF_INET ? unpack_sockaddr_in($bound) : unpack_sockaddr_in6($bound);
    push @open, $listener;
    push @controls, "control $address $port";
  }
  exec "nsenter", "--net=$namespace", $^X, "-e", $ENV{neighbour}, "look", @controls;
  exit 1;
}

my (%waiting, %found);
for my $target (@given, map { chomp; $_ } <STDIN>) {
  my (undef, $address, $port) = split / /, $target;
  my $where = name($address, $port) or next;
  socket(my $client, family($address), SOCK_STREAM, 0) or next;
  fcntl $client, F_SETFL, fcntl($client, F_GETFL, 0) | O_NONBLOCK;
  if (connect $client, $where) { $found{$target} = "open" }
  elsif ($! == EINPROGRESS) { $waiting{$target} = $client }
  else { $found{$target} = "refused" }
}
# As long as it takes to reach what is open for comparison, and two seconds more by the clock, however many targets have
# answered meanwhile; a first packet that was lost is sent again in that time.
my ($end, $compared) = (time + 7, 0);
while (%waiting && time < $end) {
  my $mask = "";
  vec($mask, fileno $_, 1) = 1 for values %waiting;
  select undef, my $ready = $mask, undef, 0.1;
  for my $target (keys %waiting) {
    my $client = $waiting{$target};
    next unless vec $ready, fileno $client, 1;
    $found{$target} = unpack("i", getsockopt $client, SOL_SOCKET, SO_ERROR) ? "refused" : "open";
    delete $waiting{$target};
  }
  next if $compared or grep { /^control/ } keys %waiting;
  $compared = 1;
  $end = time + 3 if time + 3 < $end;
}
print "$_ ", $found{$_} || "silent", "\n" for sort(keys %found, keys %waiting);
