import Foundation
import Replay

extension WorkerGroup {
  /// Lets every thread end when SIGTERM or SIGINT comes.
  func stopOnSignals() {
    for number in [SIGTERM, SIGINT] {
      signal(number, SIG_IGN)
      let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
      // The handler keeps its source alive: it is needed as long as the process.
      source.setEventHandler { [self] in
        stop()
        withExtendedLifetime(source) {}
      }
      source.resume()
    }
  }
}
