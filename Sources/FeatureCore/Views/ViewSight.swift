/// What events a view's windows can see.
extension ViewPlan {
  /// Whether some window of a row at a moment may see an event of an earlier time. Sessions see what may be in the
  /// latest one if that isn't over.
  public func sees(eventAt event: Int64, from time: Int64) -> Bool {
    windowGroups.contains { group in
      switch group.span {
      case .all: true
      case .sliding(let length, let hop):
        floorDivide(event, hop) >= floorDivide(time.subtractingSaturated(length), hop)
      case .shifted(let length, let hop, let offset):
        seesTile(
          floorDivide(event, hop),
          floorDivide(time.subtractingSaturated(offset).subtractingSaturated(length), hop),
          before: floorDivide(time.subtractingSaturated(offset), hop))
      case .session(let gap): time.subtractingSaturated(event) <= gap
      case .calendar(let unit):
        seesDay(of: event, from: time, unit, layout.levels[group.level].tiling)
      }
    }
  }

  private func seesTile(_ tile: Int64, _ first: Int64, before end: Int64) -> Bool {
    first <= tile && tile < end
  }

  private func seesDay(of event: Int64, from time: Int64, _ unit: CalendarUnit, _ tiling: Tiling) -> Bool {
    guard case .days(let zone, _) = tiling else { preconditionFailure("Cannot see days in \(tiling)") }
    let calendar = layout.calendars[zone]
    let (day, today) = (calendar.day(event), calendar.day(time))
    return seesTile(
      day, ZoneCalendar.firstDay(of: unit, containing: today), before: unit == .yesterday ? today : .max)
  }

  /// The longest silence, in microseconds, that some session of the view outlasts; nil if it has no sessions.
  public var longestSessionGap: Int64? {
    windowGroups.compactMap { group in
      if case .session(let gap) = group.span { gap } else { nil }
    }.max()
  }
}

extension Int64 {
  fileprivate func subtractingSaturated(_ other: Int64) -> Int64 {
    let (difference, isTooFar) = subtractingReportingOverflow(other)
    return isTooFar ? (other > 0 ? .min : .max) : difference
  }
}
