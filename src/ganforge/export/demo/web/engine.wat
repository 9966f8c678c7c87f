;; The three loops in which a generator spends its time, with 128-bit SIMD. engine.mjs has the same
;; loops in JavaScript, and says what each computes. All numbers are float32, all addresses bytes.
;;
;; Build: python -c "import wasmtime, sys; sys.stdout.buffer.write(wasmtime.wat2wasm(open(
;; 'engine.wat').read()))" > engine.wasm        (pip install wasmtime)
(module
  (memory (export "memory") 16)

  ;; c (m, n) = a (m, k) b (k, n), tile by tile: 4 rows and 8 columns stay in registers.
  (func (export "gemm")
    (param $a i32) (param $b i32) (param $c i32) (param $m i32) (param $k i32) (param $n i32)
    (local $i i32) (local $j i32) (local $row i32) (local $wide i32)
    (local $at i32) (local $bt i32) (local $ct i32)
    (local.set $row (i32.shl (local.get $k) (i32.const 2)))   ;; bytes of a row of a
    (local.set $wide (i32.shl (local.get $n) (i32.const 2)))  ;; of b and c
    (loop $columns
      (if (i32.lt_s (local.get $j) (local.get $n)) (then
        (local.set $bt (i32.add (local.get $b) (i32.shl (local.get $j) (i32.const 2))))
        (local.set $ct (i32.add (local.get $c) (i32.shl (local.get $j) (i32.const 2))))
        (local.set $at (local.get $a))
        (local.set $i (i32.const 0))
        (if (i32.le_s (i32.add (local.get $j) (i32.const 8)) (local.get $n))
          (then
            (loop $rows
              (if (i32.le_s (i32.add (local.get $i) (i32.const 4)) (local.get $m)) (then
                (call $tile4 (local.get $at) (local.get $bt) (local.get $ct)
                  (local.get $k) (local.get $row) (local.get $wide))
                (local.set $at (i32.add (local.get $at) (i32.shl (local.get $row) (i32.const 2))))
                (local.set $ct (i32.add (local.get $ct) (i32.shl (local.get $wide) (i32.const 2))))
                (local.set $i (i32.add (local.get $i) (i32.const 4)))
                (br $rows))))
            (loop $last
              (if (i32.lt_s (local.get $i) (local.get $m)) (then
                (call $tile1 (local.get $at) (local.get $bt) (local.get $ct)
                  (local.get $k) (local.get $wide))
                (local.set $at (i32.add (local.get $at) (local.get $row)))
                (local.set $ct (i32.add (local.get $ct) (local.get $wide)))
                (local.set $i (i32.add (local.get $i) (i32.const 1)))
                (br $last))))
            (local.set $j (i32.add (local.get $j) (i32.const 8))))
          (else
            (loop $single
              (if (i32.lt_s (local.get $i) (local.get $m)) (then
                (f32.store (local.get $ct)
                  (call $dot (local.get $at) (local.get $bt) (local.get $k) (local.get $wide)))
                (local.set $at (i32.add (local.get $at) (local.get $row)))
                (local.set $ct (i32.add (local.get $ct) (local.get $wide)))
                (local.set $i (i32.add (local.get $i) (i32.const 1)))
                (br $single))))
            (local.set $j (i32.add (local.get $j) (i32.const 1)))))
        (br $columns)))))

  (func $tile4
    (param $a i32) (param $b i32) (param $c i32) (param $k i32) (param $row i32) (param $wide i32)
    (local $a1 i32) (local $a2 i32) (local $a3 i32)
    (local $x v128) (local $y v128) (local $s v128)
    (local $c0 v128) (local $c1 v128) (local $c2 v128) (local $c3 v128)
    (local $d0 v128) (local $d1 v128) (local $d2 v128) (local $d3 v128)
    (local.set $a1 (i32.add (local.get $a) (local.get $row)))
    (local.set $a2 (i32.add (local.get $a1) (local.get $row)))
    (local.set $a3 (i32.add (local.get $a2) (local.get $row)))
    (loop $sum
      (local.set $x (v128.load (local.get $b)))
      (local.set $y (v128.load offset=16 (local.get $b)))
      (local.set $s (v128.load32_splat (local.get $a)))
      (local.set $c0 (f32x4.add (local.get $c0) (f32x4.mul (local.get $s) (local.get $x))))
      (local.set $d0 (f32x4.add (local.get $d0) (f32x4.mul (local.get $s) (local.get $y))))
      (local.set $s (v128.load32_splat (local.get $a1)))
      (local.set $c1 (f32x4.add (local.get $c1) (f32x4.mul (local.get $s) (local.get $x))))
      (local.set $d1 (f32x4.add (local.get $d1) (f32x4.mul (local.get $s) (local.get $y))))
      (local.set $s (v128.load32_splat (local.get $a2)))
      (local.set $c2 (f32x4.add (local.get $c2) (f32x4.mul (local.get $s) (local.get $x))))
      (local.set $d2 (f32x4.add (local.get $d2) (f32x4.mul (local.get $s) (local.get $y))))
      (local.set $s (v128.load32_splat (local.get $a3)))
      (local.set $c3 (f32x4.add (local.get $c3) (f32x4.mul (local.get $s) (local.get $x))))
      (local.set $d3 (f32x4.add (local.get $d3) (f32x4.mul (local.get $s) (local.get $y))))
      (local.set $a (i32.add (local.get $a) (i32.const 4)))
      (local.set $a1 (i32.add (local.get $a1) (i32.const 4)))
      (local.set $a2 (i32.add (local.get $a2) (i32.const 4)))
      (local.set $a3 (i32.add (local.get $a3) (i32.const 4)))
      (local.set $b (i32.add (local.get $b) (local.get $wide)))
      (br_if $sum (local.tee $k (i32.sub (local.get $k) (i32.const 1)))))
    (v128.store (local.get $c) (local.get $c0))
    (v128.store offset=16 (local.get $c) (local.get $d0))
    (local.set $c (i32.add (local.get $c) (local.get $wide)))
    (v128.store (local.get $c) (local.get $c1))
    (v128.store offset=16 (local.get $c) (local.get $d1))
    (local.set $c (i32.add (local.get $c) (local.get $wide)))
    (v128.store (local.get $c) (local.get $c2))
    (v128.store offset=16 (local.get $c) (local.get $d2))
    (local.set $c (i32.add (local.get $c) (local.get $wide)))
    (v128.store (local.get $c) (local.get $c3))
    (v128.store offset=16 (local.get $c) (local.get $d3)))

  (func $tile1
    (param $a i32) (param $b i32) (param $c i32) (param $k i32) (param $wide i32)
    (local $s v128) (local $c0 v128) (local $d0 v128)
    (loop $sum
      (local.set $s (v128.load32_splat (local.get $a)))
      (local.set $c0
        (f32x4.add (local.get $c0) (f32x4.mul (local.get $s) (v128.load (local.get $b)))))
      (local.set $d0
        (f32x4.add (local.get $d0) (f32x4.mul (local.get $s) (v128.load offset=16 (local.get $b)))))
      (local.set $a (i32.add (local.get $a) (i32.const 4)))
      (local.set $b (i32.add (local.get $b) (local.get $wide)))
      (br_if $sum (local.tee $k (i32.sub (local.get $k) (i32.const 1)))))
    (v128.store (local.get $c) (local.get $c0))
    (v128.store offset=16 (local.get $c) (local.get $d0)))

  (func $dot (param $a i32) (param $b i32) (param $k i32) (param $wide i32) (result f32)
    (local $sum f32)
    (loop $next
      (local.set $sum (f32.add (local.get $sum)
        (f32.mul (f32.load (local.get $a)) (f32.load (local.get $b)))))
      (local.set $a (i32.add (local.get $a) (i32.const 4)))
      (local.set $b (i32.add (local.get $b) (local.get $wide)))
      (br_if $next (local.tee $k (i32.sub (local.get $k) (i32.const 1)))))
    (local.get $sum))

  ;; out (height, width) += column (rows, columns) at every stride-th pixel from (top, left), where
  ;; that lies inside.
  (func (export "fold")
    (param $column i32) (param $out i32) (param $rows i32) (param $columns i32)
    (param $height i32) (param $width i32) (param $top i32) (param $left i32) (param $stride i32)
    (local $i i32) (local $j i32) (local $y i32) (local $x i32) (local $at i32) (local $to i32)
    (loop $down
      (if (i32.lt_s (local.get $i) (local.get $rows)) (then
        (local.set $y
          (i32.add (local.get $top) (i32.mul (local.get $i) (local.get $stride))))
        (if (i32.lt_u (local.get $y) (local.get $height)) (then
          (local.set $at (i32.add (local.get $column)
            (i32.shl (i32.mul (local.get $i) (local.get $columns)) (i32.const 2))))
          (local.set $x (local.get $left))
          (local.set $j (i32.const 0))
          (loop $across
            (if (i32.lt_s (local.get $j) (local.get $columns)) (then
              (if (i32.lt_u (local.get $x) (local.get $width)) (then
                (local.set $to (i32.add (local.get $out) (i32.shl (i32.add
                  (i32.mul (local.get $y) (local.get $width)) (local.get $x)) (i32.const 2))))
                (f32.store (local.get $to)
                  (f32.add (f32.load (local.get $to)) (f32.load (local.get $at))))))
              (local.set $at (i32.add (local.get $at) (i32.const 4)))
              (local.set $x (i32.add (local.get $x) (local.get $stride)))
              (local.set $j (i32.add (local.get $j) (i32.const 1)))
              (br $across))))))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $down)))))

  ;; column (rows, columns) = image (height, width) at every stride-th pixel from (top, left), and 0
  ;; outside of the image.
  (func (export "unfold")
    (param $image i32) (param $column i32) (param $rows i32) (param $columns i32)
    (param $height i32) (param $width i32) (param $top i32) (param $left i32) (param $stride i32)
    (local $i i32) (local $j i32) (local $y i32) (local $x i32) (local $to i32) (local $value f32)
    (local.set $to (local.get $column))
    (loop $down
      (if (i32.lt_s (local.get $i) (local.get $rows)) (then
        (local.set $y
          (i32.add (local.get $top) (i32.mul (local.get $i) (local.get $stride))))
        (local.set $x (local.get $left))
        (local.set $j (i32.const 0))
        (loop $across
          (if (i32.lt_s (local.get $j) (local.get $columns)) (then
            (local.set $value (f32.const 0))
            (if (i32.and (i32.lt_u (local.get $y) (local.get $height))
                         (i32.lt_u (local.get $x) (local.get $width))) (then
              (local.set $value (f32.load (i32.add (local.get $image) (i32.shl (i32.add
                (i32.mul (local.get $y) (local.get $width)) (local.get $x)) (i32.const 2)))))))
            (f32.store (local.get $to) (local.get $value))
            (local.set $to (i32.add (local.get $to) (i32.const 4)))
            (local.set $x (i32.add (local.get $x) (local.get $stride)))
            (local.set $j (i32.add (local.get $j) (i32.const 1)))
            (br $across))))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $down)))))
)
