"""Which experiment: a list that can be searched by typing."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QRegularExpression, QSortFilterProxyModel, QStringListModel, Signal
from PySide6.QtWidgets import QComboBox, QCompleter, QLineEdit, QSizePolicy

from workbench.gui.forms import Wheelless
from workbench.history.reported import Reportable

SHOWN = 18


class ExperimentChoice(QComboBox):
    """``chosen`` is emitted with the experiment's number when a person picks one, from the list or by typing a part of it."""

    chosen = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self.experiments: list[Reportable] = []
        self._current: int | None = None
        self._texts = QStringListModel(self)
        self.edit = QLineEdit()
        self.setLineEdit(self.edit)
        self.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self.setModel(self._texts)
        self._matching = QSortFilterProxyModel(self)
        self._matching.setSourceModel(self._texts)
        completer = QCompleter(self._matching, self)
        completer.setCompletionMode(QCompleter.CompletionMode.UnfilteredPopupCompletion)
        completer.setMaxVisibleItems(SHOWN)
        self.setCompleter(None)  # type: ignore[arg-type]
        self.edit.textEdited.connect(self._filter)  # before the completer, which then shows what matches
        self.edit.setCompleter(completer)
        completer.activated.connect(lambda text: self._pick(self.findText(text)))
        self.setMaxVisibleItems(SHOWN)
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(30)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName("Experiment")
        self.setToolTip("Choose an experiment, or type parts of its name, or its number. Finished ones come first, newest first.")
        Wheelless(self)
        self.activated.connect(self._choose)
        self.edit.setPlaceholderText("Parts of a name, or a number")
        self.edit.returnPressed.connect(self._choose_first)
        self.edit.editingFinished.connect(self._restore)

    def show_experiments(self, experiments: Sequence[Reportable], current: int | None) -> None:
        """Offer these, one of them chosen; what is being typed stays."""
        typed = self.edit.text() if self.edit.isModified() and self.edit.hasFocus() else None
        self.experiments = list(experiments)
        self._texts.setStringList([one.words() for one in experiments])
        self.set_current(current)
        if typed is not None:
            self.edit.setText(typed)
            self.edit.setModified(True)

    def set_current(self, experiment: int | None) -> None:
        """Show one as chosen, without a signal."""
        self._current = experiment
        self.setCurrentIndex(next((at for at, one in enumerate(self.experiments) if one.experiment == experiment), -1))
        self.edit.setCursorPosition(0)

    def _filter(self, text: str) -> None:
        """Offer those that have each of the words typed, in any order."""
        words = "".join(f"(?=.*{QRegularExpression.escape(word)})" for word in text.split())
        self._matching.setFilterRegularExpression(
            QRegularExpression(f"^{words}", QRegularExpression.PatternOption.CaseInsensitiveOption)
        )

    def _pick(self, place: int) -> None:
        self.setCurrentIndex(place)
        self._choose(place)

    def _choose(self, place: int) -> None:
        if 0 <= place < len(self.experiments) and self.experiments[place].experiment != self._current:
            self._current = self.experiments[place].experiment
            self.chosen.emit(self._current)

    def _choose_first(self) -> None:
        """Return takes the first that matches; a number alone is first an experiment's own."""
        text = self.edit.text().strip().lower()
        matching = [at for at, one in enumerate(self.experiments) if all(word in one.words().lower() for word in text.split())]
        own = [at for at, one in enumerate(self.experiments) if str(one.experiment) == text.removeprefix("#")]
        if text and (own or matching):
            self._pick((own or matching)[0])

    def _restore(self) -> None:
        """What was typed and chosen nothing is taken back."""
        self.set_current(self._current)
