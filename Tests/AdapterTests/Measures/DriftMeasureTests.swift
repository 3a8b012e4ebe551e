import Foundation
import Testing
import TestSupport

@testable import FeatureCore

/// Measures of drift of fixed samples, against numpy and scipy on the same bins.
@Suite struct DriftMeasureTests {
  private static let hasScipy =
    Command.python.map { (try? Command.run($0, ["-c", "import scipy"])) != nil } ?? false

  /// Reads edges and two samples, null where there is no value, and counts for itself.
  private static let script = #"""
    import json, sys, numpy as np
    from scipy.spatial.distance import jensenshannon
    edges, reference, current = json.load(open(sys.argv[1]))
    def counts(sample):
        held = np.array([value for value in sample if value is not None])
        return np.append(np.histogram(held, [-np.inf] + edges + [np.inf])[0], len(sample) - len(held))
    r, c = counts(reference), counts(current)
    bins = (r > 0) | (c > 0)
    q, p = r[bins] / r.sum(), c[bins] / c.sum()
    psi = np.sum((p - q) * np.log(p / q)) if (p > 0).all() and (q > 0).all() else None
    print(json.dumps({"counts": [r.tolist(), c.tolist()], "psi": psi, "js": jensenshannon(p, q),
        "null_share": c[-1] / c.sum(), "chance": (len(p) - 1) * (1 / r.sum() + 1 / c.sum())}))
    """#

  private struct Theirs: Decodable {
    var counts: [[UInt64]]
    var psi: Double?
    var js: Double
    var null_share: Double
    var chance: Double
  }

  struct Case: Sendable, CustomTestStringConvertible {
    var shift: Double
    var nullsIn: Int?
    var count: Int
    var hasPSI = true
    var testDescription: String { "shift \(shift), nulls \(nullsIn ?? 0), \(count) events" }
  }

  @Test(
    .enabled(if: hasScipy, "PLUMB_PYTHON names no Python that has scipy"),
    arguments: [
      Case(shift: 0, nullsIn: nil, count: 5_000), Case(shift: 0.5, nullsIn: nil, count: 5_000),
      Case(shift: 0.2, nullsIn: 7, count: 3_000), Case(shift: 40, nullsIn: 2, count: 30, hasPSI: false),
      Case(shift: 0, nullsIn: 1, count: 5, hasPSI: false),
    ])
  func equalThoseOfNumpyAndScipy(scenario: Case) throws {
    var state: UInt64 = 3
    func draw() -> Double {
      (0..<12).reduce(-6) { sum, _ in
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return sum + Double(state >> 11) * 0x1p-53
      }
    }
    let reference: [Double?] = (0..<20_000).map { index in
      let value = draw()
      return scenario.nullsIn != nil && index % 11 == 0 ? nil : value
    }
    let current: [Double?] = (0..<scenario.count).map { index in
      let value = draw() + scenario.shift
      return scenario.nullsIn.map { index % $0 == 0 } ?? false ? nil : value
    }
    let sorted = reference.compactMap(\.self).sorted()
    let edges = (1..<20).map { sorted[$0 * sorted.count / 20] }
    func counts(_ sample: [Double?]) -> [UInt64] {
      let table = BucketTable.double(edges)
      var counts = [UInt64](repeating: 0, count: edges.count + 2)
      for value in sample {
        counts[value.map { table.bucket(of: Scalar(bits: $0.bitPattern)) } ?? edges.count + 1] += 1
      }
      return counts
    }
    let (ours, theirCounts) = (counts(current), counts(reference).map { Int64($0) })
    let baseline = Baseline(.edges(edges), counts: theirCounts.dropLast(), nulls: theirCounts[20])

    let file = try TemporaryFolder().url.appendingPathExtension("json")
    defer { try? FileManager.default.removeItem(at: file) }
    let sample: [[Double?]] = [edges, reference, current]
    try JSONEncoder().encode(sample).write(to: file)
    let output = try Command.run(Command.python ?? "", ["-c", Self.script, file.path])
    let theirs = try JSONDecoder().decode(Theirs.self, from: Data(output))
    #expect(theirs.counts == [theirCounts.map { UInt64($0) }, ours])
    func value(_ measure: DriftMeasure) -> Double {
      ours.withUnsafeBufferPointer { Drift.value(measure, $0, baseline) }
    }
    #expect(abs(value(.js) - theirs.js) <= 1e-9)
    #expect(abs(value(.nullShare) - theirs.null_share) <= 1e-12)
    #expect((theirs.psi != nil) == scenario.hasPSI)
    if let psi = theirs.psi {
      #expect(abs(value(.psi) - psi) <= 1e-9)
      #expect(abs(value(.psiExcess) - (psi - theirs.chance)) <= 1e-9)
    }
    #expect(value(.psi).isFinite)
  }

  /// What Evidently 0.7.23 (with pandas 2.3.3, numpy 2.4.6, scipy 1.17.1) gives for these samples, whose bins it chooses like this.
  @Test func equalThoseOfEvidently() {
    let edges = (1..<14).map { Double(72 * $0) }
    func counts(_ values: [Double]) -> [UInt64] {
      let table = BucketTable.double(edges)
      return values.reduce(into: Array(repeating: 0, count: 15)) {
        $0[table.bucket(of: Scalar(bits: $1.bitPattern))] += 1
      }
    }
    let reference = counts((0..<4_000).map { Double($0 * 7_919 % 1_009) })
    let current = counts(
      (0..<1_500).map { index in
        let value = Double(index * 104_729 % 1_009)
        return value * value / 1_008
      })
    let numbers = Baseline(.edges(edges), counts: reference.dropLast().map { Int64($0) })
    let texts = Baseline(.categories(["de", "fr", "it"]), counts: [700, 200, 100, 0])
    func value(_ measure: DriftMeasure, _ counts: [UInt64], _ baseline: Baseline) -> Double {
      counts.withUnsafeBufferPointer { Drift.value(measure, $0, baseline) }
    }
    #expect(abs(value(.psi, current, numbers) - 0.3942672577291476) <= 1e-9)
    #expect(abs(value(.js, current, numbers) - 0.21681026287525917) <= 1e-9)
    #expect(abs(value(.psi, [150, 90, 10, 0, 0], texts) - 0.16443837827951416) <= 1e-9)
    #expect(abs(value(.js, [150, 90, 10, 0, 0], texts) - 0.1419710633136616) <= 1e-9)
  }

  /// Of windows that are drawn from the baseline itself, `psi` is what chance gives and `psi_excess` about nothing.
  @Test(arguments: [200, 500, 5_000]) func chanceIsTakenOut(events: Int) {
    var random = SystemlessRandom(state: 5)
    let baseline = Baseline(.edges((1..<20).map(Double.init)), counts: Array(repeating: 5_000, count: 20))
    var (psi, excess) = (0.0, 0.0)
    let windows = 1_000
    for _ in 0..<windows {
      var counts = [UInt64](repeating: 0, count: 21)
      for _ in 0..<events { counts[Int(random.next() % 20)] += 1 }
      counts.withUnsafeBufferPointer {
        psi += Drift.value(.psi, $0, baseline) / Double(windows)
        excess += Drift.value(.psiExcess, $0, baseline) / Double(windows)
      }
    }
    let chance = 19 * (1 / Double(events) + 1e-5)
    #expect(abs(psi - chance) < 0.08 * chance, "\(psi) for \(chance)")
    #expect(abs(excess) < 0.08 * chance, "\(excess)")
  }

  /// An empty bin counts as half an event, on either side; one that is empty on both is none.
  @Test func emptyBins() {
    let baseline = Baseline(.categories(["a", "b", "c"]), counts: [10, 0, 0, 10])
    func value(_ measure: DriftMeasure, _ counts: [UInt64]) -> Double {
      counts.withUnsafeBufferPointer { Drift.value(measure, $0, baseline) }
    }
    let expected = (0.025 - 0.5) * log(0.025 / 0.5) + (0.5 - 0.025) * log(0.5 / 0.025)
    #expect(abs(value(.psi, [0, 10, 0, 10, 0]) - expected) < 1e-12)
    #expect(abs(value(.psiExcess, [0, 10, 0, 10, 0]) - (expected - 2 * (0.05 + 0.05))) < 1e-12)
    #expect(value(.psi, [5, 0, 0, 5, 0]) == 0)
    #expect(value(.js, [5, 0, 0, 5, 0]) == 0)
    #expect(abs(value(.js, [0, 7, 0, 0, 0]) - log(2).squareRoot()) < 1e-12)
  }

  /// SplitMix64.
  private struct SystemlessRandom {
    var state: UInt64

    mutating func next() -> UInt64 {
      state &+= 0x9E37_79B9_7F4A_7C15
      var mixed = state
      mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
      mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
      return mixed ^ (mixed >> 31)
    }
  }
}
