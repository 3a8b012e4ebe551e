import CPipeline
import FeatureCore
import Foundation

/// From producing an event to reading a state that holds it: probes, events of users that exist once each, are
/// produced between the others, and Redis is asked for all that were not seen yet.
struct LatencyBenchmark {
  private let site: Site
  private let events: EventBytes
  private let rate: Int
  private let commitInterval: Int
  private static let seconds = 10.0
  private static let probesPerSecond = 100.0

  init(_ site: Site, _ events: EventBytes, rate: Int, commitInterval: Int) {
    self.site = site
    self.events = events
    self.rate = rate
    self.commitInterval = commitInterval
  }

  func run() throws {
    let application = "latency\(rate)x\(commitInterval)"
    pipeline_redis_flushall(site.connection)
    // A topic without a past.
    let service = try site.run(
      try site.prepare(application, topic: application), commitInterval: commitInterval)
    defer {
      service.terminate()
      service.waitUntilExit()
    }
    let producer = pipeline_producer(site.brokers, "0")
    defer { pipeline_producer_free(producer) }
    let positions = (0..<Site.partitions).map { "\(application):1:{clicks.\($0)}:p" }
    while site.get(positions).contains(nil) { usleep(10_000) }

    var outstanding: [(key: String, since: Double)] = []
    var latencies: [Double] = []
    let begin = steadySeconds()
    var sent = 0
    var probes = 0
    while true {
      let now = steadySeconds() - begin
      if now > Self.seconds + 2 || now > Self.seconds && outstanding.isEmpty { break }
      if now < Self.seconds {
        while Double(sent) < now * Double(rate) {
          send(sent % events.count, application, producer)
          sent += 1
        }
        if Double(probes) < now * Self.probesPerSecond {
          outstanding.append((probe(probes, application, producer), steadySeconds()))
          probes += 1
        }
      }
      if !outstanding.isEmpty {
        let values = site.get(outstanding.map(\.key))
        let seen = steadySeconds()
        for (index, value) in values.enumerated() where value != nil {
          latencies.append(seen - outstanding[index].since)
        }
        outstanding = zip(outstanding, values).filter { $1 == nil }.map { $0.0 }
      }
      usleep(200)
    }
    guard outstanding.isEmpty else {
      throw Site.Failure(description: "\(outstanding.count) probes were never seen")
    }
    latencies.sort()
    func percentile(_ share: Double) -> String {
      decimals(latencies[Int(Double(latencies.count - 1) * share)] * 1000, 1)
    }
    print(
      "Produce to readable at \(rate) events/s, commit interval \(commitInterval) ms: p50 \(percentile(0.5)) ms, "
        + "p99 \(percentile(0.99)) ms, \(latencies.count) probes")
  }

  private func send(_ number: Int, _ topic: String, _ producer: UnsafeMutableRawPointer?) {
    events.withLine(number) { line in
      let key = UnsafeRawBufferPointer(rebasing: line[events.users[number]])
      pipeline_send(producer, topic, key.baseAddress, key.count, line.baseAddress, line.count)
    }
  }

  /// Produces a probe; returns the key of its state in Redis.
  private func probe(_ number: Int, _ topic: String, _ producer: UnsafeMutableRawPointer?) -> String {
    let user = "probe\(number)"
    let line = """
      {"event_id":"\(user)","ts":1767225600000,"user_id":"\(user)","item_id":"i1","category":"c1",\
      "event_type":"click"}
      """
    let partition = Array(user.utf8).withUnsafeBytes { Murmur2.partition($0, count: Int32(Site.partitions)) }
    pipeline_send(producer, topic, user, user.utf8.count, line, line.utf8.count)
    return "\(topic):1:{clicks.\(partition)}:s:user_activity:\(user)"
  }
}
