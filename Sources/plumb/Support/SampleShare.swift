import ArgumentParser

/// A share of entities as an argument: `1/100`.
struct SampleShare: ExpressibleByArgument, CustomStringConvertible {
  let divisor: Int

  init(divisor: Int) { self.divisor = divisor }

  init?(argument: String) {
    let parts = argument.split(separator: "/", omittingEmptySubsequences: false)
    guard parts.count == 2, parts[0] == "1", let divisor = Int(parts[1]), divisor > 0 else { return nil }
    self.divisor = divisor
  }

  var description: String { "1/\(divisor)" }
}
