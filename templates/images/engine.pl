# What an engine has, asked in one process over its socket, and printed as the lines that operations/images/listing.py
# describes. What they do not name stays here: a container's variables and its command hold secrets.
# SOCKET PROJECT LABEL TAG... -- [REFERENCE SHOWN]...: the first tag is the gateway's, LABEL is what our labels begin with,
# and SHOWN how an engine shows a reference.
use strict;

my ($most, $unix, $stream) = (16 << 20, 1, 1);    # the module Socket takes longer to load than all of this to run
my ($socket, $project, $label, @tags) = @ARGV;
my ($end) = grep { $tags[$_] eq "--" } 0 .. $#tags;
my (undef, %shown) = splice @tags, $end;
my %wanted = map { $_ => 1 } @tags;
my @tokens;

# JSON: strings and numbers stay as they are written, so that they are one line, and can be written again.
sub value {
  my $depth = shift;
  die if $depth > 50;
  my $token = shift @tokens;
  if ($token eq "[") {
    my @all;
    push @all, value($depth + 1) while @tokens && $tokens[0] ne "]";
    shift @tokens;
    return \@all;
  }
  if ($token eq "{") {
    my %all;
    while (@tokens && $tokens[0] ne "}") {
      my $key = shift @tokens;
      $all{ substr $key, 1, -1 } = value($depth + 1);
    }
    shift @tokens;
    return \%all;
  }
  return $token;
}

sub json {
  my $value = shift;
  return "[" . join(",", map { json($_) } @$value) . "]" if ref $value eq "ARRAY";
  return "{" . join(",", map { "\"$_\":" . json($value->{$_}) } sort keys %$value) . "}" if ref $value eq "HASH";
  return defined $value ? $value : '""';
}

# inner: of a string as it is written, without its quotes; bare: if it says what it is.
sub inner { return defined $_[0] && !ref $_[0] && $_[0] =~ /\A"?(.*?)"?\z/s ? $1 : "" }
sub bare { return inner($_[0]) =~ /\A([^"\\]*)\z/ ? $1 : "" }
sub object { return ref $_[0] eq "HASH" ? $_[0] : {} }
sub all { return ref $_[0] eq "ARRAY" ? @{ $_[0] } : () }

sub ask {
  my $path = shift;
  socket(my $engine, $unix, $stream, 0) or exit 1;
  connect($engine, pack("S a*", $unix, $socket)) or exit 1;
  syswrite $engine, "GET $path HTTP/1.0\r\nHost: docker\r\n\r\n";
  my $said = "";
  while (sysread $engine, $said, 1 << 16, length $said) {
    next if length $said <= $most;
    print $said;    # which is too much for whoever reads it, and is said so there
    exit 1;
  }
  $said =~ s/\AHTTP\/1\.\d 200 .*?\r\n\r\n//s or die;
  @tokens = $said =~ /"(?:[^"\\]++|\\.)*+"|[][{}]|[\w.+-]+/gs;
  return value(0);
}

eval {
  my $info = ask("/info");
  my %facts = (
    server => $info->{ServerVersion},
    "live-restore" => $info->{LiveRestoreEnabled},
    swarm => object($info->{Swarm})->{LocalNodeState},
    containers => $info->{ContainersRunning},
    "data-root" => $info->{DockerRootDir},
    containerd => object($info->{Containerd})->{Address},
  );
  for my $status (all($info->{DriverStatus})) {
    $facts{snapshotter} = $info->{Driver} if bare($status->[1]) eq "io.containerd.snapshotter.v1";
  }
  print map { "engine $_=" . bare($facts{$_}) . "\n" } sort keys %facts;
  print "engine security=", join(" ", map { bare($_) } all($info->{SecurityOptions})), "\n";
};
eval {
  for my $image (all(ask("/images/json"))) {
    my ($id, $labels) = (bare($image->{Id}), object($image->{Labels}));
    my @names = grep { !/<none>/ } all($image->{RepoTags});
    my @digests = grep { !/<none>/ } all($image->{RepoDigests});
    my ($inputs, @others) = map { $labels->{"$label.$_"} || "" } qw(inputs base deployment image);
    print "image ", join("|", $id, json(\@names), $inputs, @others), "\n" if $inputs =~ /[^"]/;
    my @moved = grep { $wanted{$_} } map { bare($_) } @names;
    print map { "tag $_ $id\n" } @moved;
    print "wanted_image $id\n" if grep { $_ eq $tags[0] } @moved;
    print '["image",', join(",", "\"$id\"", json(\@names), $inputs || '""'), "]\n" if @moved;
    my %there = map { bare($_) => 1 } @names, @digests;
    print map { "pulled $_ " . json(\@digests) . "\n" } grep { $there{ $shown{$_} } } sort keys %shown;
  }
};
eval {
  my ($compose, $gateway) = "com.docker.compose";
  for my $container (all(ask("/containers/json?all=1"))) {
    my $labels = object($container->{Labels});
    my ($id, $state) = (bare($container->{Id}), bare($container->{State}));
    my %is = map { $_ => bare($labels->{"$compose.$_"}) } qw(project service oneoff);
    my @names = map { m{\A"/([^/]*)"\z} ? $1 : () } all($container->{Names});
    my @ports = map { bare($_->{IP}) . ":$_->{PublicPort}->$_->{PrivatePort}/" . bare($_->{Type}) }
      grep { $_->{PublicPort} } all($container->{Ports});
    my @mounts = map { inner($_->{Name}) || inner($_->{Source}) } all($container->{Mounts});
    # OpenClaw's own set-up has the same names, but not the label of ours.
    if ($is{project} eq $project && $labels->{"$label.project"}) {
      print "own ", join(", ", @ports), "\n" if $state =~ /\A(running|paused|restarting)\z/;
      $gateway ||= $id if $is{service} eq "openclaw-gateway" && $is{oneoff} eq "False";
    }
    print "sandbox $id\n" if bare($labels->{"openclaw.sandbox"}) eq "1";
    print "used ", bare($container->{ImageID}), "\n";
    my @described = (
      "\"" . join(",", @names) . "\"",
      (map { $labels->{"$compose.$_"} } qw(project project.working_dir service)),
      $labels->{"$label.project"}, $container->{Image}, $container->{State},
      "\"" . join(", ", @ports) . "\"", "\"" . join(",", @mounts) . "\"",
    );
    print '["container",', join(",", map { json($_) } @described), "]\n";
  }
  my $there = ask("/containers/$gateway/json");
  my ($state, $config) = ($there->{State}, $there->{Config});
  my %facts = (
    image => $there->{Image}, label => $config->{Labels}{"$label.project"}, status => $state->{Status},
    health => object($state->{Health})->{Status}, started => $state->{StartedAt}, user => $config->{User},
    version => $config->{Labels}{"org.opencontainers.image.version"},
  );
  print map { "gateway $_ " . bare($facts{$_}) . "\n" } sort keys %facts;
  print "gateway host_config ", json($there->{HostConfig}), "\ngateway ports ", json($there->{NetworkSettings}{Ports}), "\n";
};
eval {
  for my $network (all(ask("/networks"))) {
    my $options = object($network->{Options});
    my $labels = object($network->{Labels});
    my $bridge = bare($options->{"com.docker.network.bridge.name"}) || "br-" . substr(bare($network->{Id}), 0, 12);
    my $made = bare($labels->{"com.docker.compose.project"}) . bare($labels->{"$label.deployment"});
    my $name = bare($network->{Name});
    print "network $name ", bare($network->{EnableIPv6}), " ", bare($options->{"com.docker.network.driver.mtu"}), "\n";
    print "bridge $name $bridge\n" if bare($network->{Driver}) eq "bridge";
    print "[\"network\",\"$name\",\"$made\"]\n";
  }
};
