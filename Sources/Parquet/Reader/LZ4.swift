/// LZ4's block format (https://github.com/lz4/lz4/blob/dev/doc/lz4_Block_format.md), which Parquet calls LZ4_RAW.
enum LZ4 {
  /// How many bytes it made; nil if the input is damaged or does not fit.
  static func decode(_ input: UnsafeRawBufferPointer, into room: UnsafeMutableRawBufferPointer) -> Int? {
    var (source, target) = (0, 0)
    while source < input.count {
      let token = Int(input[source])
      source += 1
      guard let literals = length(token >> 4, input, &source), literals <= input.count - source,
        literals <= room.count - target
      else { return nil }
      let end = source + literals
      UnsafeMutableRawBufferPointer(rebasing: room[target..<(target + literals)])
        .copyMemory(from: UnsafeRawBufferPointer(rebasing: input[source..<end]))
      (source, target) = (end, target + literals)
      // The last sequence has no match.
      if source == input.count { return target }
      guard input.count - source >= 2 else { return nil }
      let distance = Int(input[source]) | Int(input[source + 1]) << 8
      source += 2
      guard distance > 0, distance <= target, let short = length(token & 15, input, &source),
        short + 4 <= room.count - target
      else { return nil }
      // The areas may overlap: a match repeats what it has just written.
      for index in target..<(target + short + 4) { room[index] = room[index - distance] }
      target += short + 4
    }
    return nil
  }

  /// 15 is followed by bytes to add, of which the last is less than 255.
  private static func length(_ nibble: Int, _ input: UnsafeRawBufferPointer, _ source: inout Int) -> Int? {
    guard nibble == 15 else { return nibble }
    var sum = 15
    while source < input.count {
      let byte = Int(input[source])
      source += 1
      sum += byte
      if byte < 255 { return sum }
    }
    return nil
  }
}
