# PowerShell completion for shoal. Try it with: shoal completion powershell | Out-String | Invoke-Expression
# Keep it by adding that line to the file $PROFILE names.
Register-ArgumentCompleter -Native -CommandName shoal -ScriptBlock {
    param($word, $line, $cursor)
    $before = @($line.CommandElements | Select-Object -Skip 1 |
        Where-Object { $_.Extent.EndOffset -lt $cursor } |
        ForEach-Object { $_.ToString().Trim('''"') })
    & $line.CommandElements[0].ToString() completion words -- $before "=$word" 2>$null | ForEach-Object {
        $value, $about = $_ -split "`t", 2
        # With nothing to offer PowerShell completes the names of files by itself.
        if ($value -ne ':files') {
            if (-not $about) { $about = $value }
            [System.Management.Automation.CompletionResult]::new($value, $value, 'ParameterValue', $about)
        }
    }
}
