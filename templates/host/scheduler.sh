# scheduler: what runs things by itself here, systemd or a cron that runs; nothing: neither.
scheduler() {
  if [ -d /run/systemd/system ]; then echo systemd
  elif [ -d /etc/cron.d ] && grep -qsxE 'crond?' /proc/[0-9]*/comm; then echo cron; fi
}
