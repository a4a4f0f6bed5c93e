;; WASI preview 1 for guests of toolchains that cannot do without it (Go's wasip1, wasi-libc), made of the contract's `clock` and `log` alone:
;; no files, no environment, no arguments, no sockets. What a program prints becomes log lines, one for each write. Randomness is drawn
;; from the clock: good for hash seeds, worthless for keys. Sleeping spins until its time has come.
;; Imports may not be called while the host puts values into the guest's memory (cabi_realloc), and Go's runtime looks at the clock whenever it likes: the
;; clock is asked only while the guest says that it is inside of a hook, and stands still otherwise.
;; Joined to the guest's module by componentNew (build.ts); it works in the guest's memory and has none of its own.
(module
  (import "capstan:plugin/clock@1.0.0" "now" (func $now (result f64)))
  (import "capstan:plugin/clock@1.0.0" "monotonic" (func $monotonic (result f64)))
  (import "capstan:plugin/log@1.0.0" "write" (func $log (param i32 i32 i32)))
  (import "env" "memory" (memory 0))

  (global $inside (mut i32) (i32.const 0))
  (global $seen (mut i32) (i32.const 0))
  (global $wall (mut f64) (f64.const 0))
  (global $steady (mut f64) (f64.const 0))

  ;; The guest's word that imports may be called; answers what it said before.
  (func (export "capstan_inside") (param $now i32) (result i32)
    (global.get $inside)
    (global.set $inside (local.get $now)))

  (func $look
    (if (i32.or (global.get $inside) (i32.eqz (global.get $seen)))
      (then
        (global.set $seen (i32.const 1))
        (global.set $wall (call $now))
        (global.set $steady (call $monotonic)))))

  (func (export "args_sizes_get") (param i32 i32) (result i32)
    (i32.store (local.get 0) (i32.const 0))
    (i32.store (local.get 1) (i32.const 0))
    (i32.const 0))
  (func (export "args_get") (param i32 i32) (result i32) (i32.const 0))
  (func (export "environ_sizes_get") (param i32 i32) (result i32)
    (i32.store (local.get 0) (i32.const 0))
    (i32.store (local.get 1) (i32.const 0))
    (i32.const 0))
  (func (export "environ_get") (param i32 i32) (result i32) (i32.const 0))

  ;; Nanoseconds; clock 0 is the day's, all others never go back.
  (func (export "clock_time_get") (param $clock i32) (param $precision i64) (param $at i32) (result i32)
    (call $look)
    (i64.store (local.get $at)
      (i64.trunc_sat_f64_u
        (f64.mul
          (if (result f64) (i32.eqz (local.get $clock)) (then (global.get $wall)) (else (global.get $steady)))
          (f64.const 1000000))))
    (i32.const 0))
  (func (export "clock_res_get") (param i32 i32) (result i32)
    (i64.store (local.get 1) (i64.const 1000000))
    (i32.const 0))

  ;; xorshift64 from the two clocks.
  (func (export "random_get") (param $at i32) (param $length i32) (result i32)
    (local $state i64)
    (call $look)
    (local.set $state
      (i64.xor
        (i64.reinterpret_f64 (global.get $wall))
        (i64.mul (i64.reinterpret_f64 (global.get $steady)) (i64.const 0x9e3779b97f4a7c15))))
    (if (i64.eqz (local.get $state)) (then (local.set $state (i64.const 1))))
    (block $done
      (loop $next
        (br_if $done (i32.eqz (local.get $length)))
        (local.set $state (i64.xor (local.get $state) (i64.shl (local.get $state) (i64.const 13))))
        (local.set $state (i64.xor (local.get $state) (i64.shr_u (local.get $state) (i64.const 7))))
        (local.set $state (i64.xor (local.get $state) (i64.shl (local.get $state) (i64.const 17))))
        (i64.store8 (local.get $at) (i64.shr_u (local.get $state) (i64.const 24)))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (local.set $length (i32.sub (local.get $length) (i32.const 1)))
        (br $next)))
    (i32.const 0))

  ;; Standard output is the level info (1), standard error the level error (3).
  (func (export "fd_write") (param $fd i32) (param $vectors i32) (param $count i32) (param $written i32) (result i32)
    (local $sum i32)
    (if (i32.gt_u (i32.sub (local.get $fd) (i32.const 1)) (i32.const 1)) (then (return (i32.const 8))))
    (block $done
      (loop $next
        (br_if $done (i32.eqz (local.get $count)))
        (if (i32.load offset=4 (local.get $vectors))
          (then
            (call $log
              (select (i32.const 1) (i32.const 3) (i32.eq (local.get $fd) (i32.const 1)))
              (i32.load (local.get $vectors))
              (i32.load offset=4 (local.get $vectors)))))
        (local.set $sum (i32.add (local.get $sum) (i32.load offset=4 (local.get $vectors))))
        (local.set $vectors (i32.add (local.get $vectors) (i32.const 8)))
        (local.set $count (i32.sub (local.get $count) (i32.const 1)))
        (br $next)))
    (i32.store (local.get $written) (local.get $sum))
    (i32.const 0))

  ;; The three standard streams are character devices.
  (func (export "fd_fdstat_get") (param $fd i32) (param $at i32) (result i32)
    (if (i32.gt_u (local.get $fd) (i32.const 2)) (then (return (i32.const 8))))
    (i64.store (local.get $at) (i64.const 2))
    (i64.store offset=8 (local.get $at) (i64.const 0x42))
    (i64.store offset=16 (local.get $at) (i64.const 0))
    (i32.const 0))

  ;; Every subscription is told at once that its time has come: who wanted to sleep looks at the clock and asks again.
  (func (export "poll_oneoff") (param $in i32) (param $out i32) (param $count i32) (param $told i32) (result i32)
    ;; Where the clock cannot be asked, time goes on by a millisecond.
    (if (i32.eqz (global.get $inside)) (then (global.set $steady (f64.add (global.get $steady) (f64.const 1)))))
    (i32.store (local.get $told) (local.get $count))
    (block $done
      (loop $next
        (br_if $done (i32.eqz (local.get $count)))
        (i64.store (local.get $out) (i64.load (local.get $in)))
        (i64.store offset=8 (local.get $out) (i64.shl (i64.load8_u offset=8 (local.get $in)) (i64.const 16)))
        (i64.store offset=16 (local.get $out) (i64.const 0))
        (i64.store offset=24 (local.get $out) (i64.const 0))
        (local.set $in (i32.add (local.get $in) (i32.const 48)))
        (local.set $out (i32.add (local.get $out) (i32.const 32)))
        (local.set $count (i32.sub (local.get $count) (i32.const 1)))
        (br $next)))
    (i32.const 0))

  (func (export "sched_yield") (result i32) (i32.const 0))
  (func (export "proc_exit") (param i32) unreachable)

  ;; 8: there is no such file.
  (func (export "fd_advise") (param i32 i64 i64 i32) (result i32) (i32.const 8))
  (func (export "fd_allocate") (param i32 i64 i64) (result i32) (i32.const 8))
  (func (export "fd_datasync") (param i32) (result i32) (i32.const 8))
  (func (export "fd_fdstat_set_flags") (param i32 i32) (result i32) (i32.const 8))
  (func (export "fd_fdstat_set_rights") (param i32 i64 i64) (result i32) (i32.const 8))
  (func (export "fd_filestat_get") (param i32 i32) (result i32) (i32.const 8))
  (func (export "fd_filestat_set_size") (param i32 i64) (result i32) (i32.const 8))
  (func (export "fd_filestat_set_times") (param i32 i64 i64 i32) (result i32) (i32.const 8))
  (func (export "fd_pread") (param i32 i32 i32 i64 i32) (result i32) (i32.const 8))
  (func (export "fd_prestat_get") (param i32 i32) (result i32) (i32.const 8))
  (func (export "fd_prestat_dir_name") (param i32 i32 i32) (result i32) (i32.const 8))
  (func (export "fd_pwrite") (param i32 i32 i32 i64 i32) (result i32) (i32.const 8))
  (func (export "fd_read") (param i32 i32 i32 i32) (result i32) (i32.const 8))
  (func (export "fd_readdir") (param i32 i32 i32 i64 i32) (result i32) (i32.const 8))
  (func (export "fd_renumber") (param i32 i32) (result i32) (i32.const 8))
  (func (export "fd_seek") (param i32 i64 i32 i32) (result i32) (i32.const 8))
  (func (export "fd_sync") (param i32) (result i32) (i32.const 8))
  (func (export "fd_tell") (param i32 i32) (result i32) (i32.const 8))
  (func (export "fd_close") (param i32) (result i32) (i32.const 8))
  (func (export "path_create_directory") (param i32 i32 i32) (result i32) (i32.const 8))
  (func (export "path_filestat_get") (param i32 i32 i32 i32 i32) (result i32) (i32.const 8))
  (func (export "path_filestat_set_times") (param i32 i32 i32 i32 i64 i64 i32) (result i32) (i32.const 8))
  (func (export "path_link") (param i32 i32 i32 i32 i32 i32 i32) (result i32) (i32.const 8))
  (func (export "path_open") (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32) (i32.const 8))
  (func (export "path_readlink") (param i32 i32 i32 i32 i32 i32) (result i32) (i32.const 8))
  (func (export "path_remove_directory") (param i32 i32 i32) (result i32) (i32.const 8))
  (func (export "path_rename") (param i32 i32 i32 i32 i32 i32) (result i32) (i32.const 8))
  (func (export "path_symlink") (param i32 i32 i32 i32 i32) (result i32) (i32.const 8))
  (func (export "path_unlink_file") (param i32 i32 i32) (result i32) (i32.const 8))
  (func (export "sock_accept") (param i32 i32 i32) (result i32) (i32.const 8))
  (func (export "sock_recv") (param i32 i32 i32 i32 i32 i32) (result i32) (i32.const 8))
  (func (export "sock_send") (param i32 i32 i32 i32 i32) (result i32) (i32.const 8))
  (func (export "sock_shutdown") (param i32 i32) (result i32) (i32.const 8))
  (func (export "proc_raise") (param i32) (result i32) (i32.const 8))
)
